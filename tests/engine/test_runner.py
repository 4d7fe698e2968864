import pytest
from mmengine.config import Config

from fairmot_mm.engine import runner
from fairmot_mm.engine.runner import keep_freed_memory, prepare_cpu_processes


@pytest.fixture
def cfg() -> Config:
    return Config(dict(launcher="none"))


def test_processes_without_gpu_are_wrapped_as_mmengine_does(cfg, monkeypatch):
    monkeypatch.setattr(runner, "default_device", lambda: "cpu")
    monkeypatch.setattr("torch.distributed.is_initialized", lambda: True)
    cfg.launcher = "pytorch"
    cfg.find_unused_parameters = True
    prepare_cpu_processes(cfg)
    wrapper = cfg.model_wrapper_cfg
    assert wrapper.find_unused_parameters
    assert not wrapper.broadcast_buffers
    cfg.model_wrapper_cfg = dict(type="MMDistributedDataParallel", static_graph=True)
    prepare_cpu_processes(cfg)
    assert cfg.model_wrapper_cfg.static_graph
    assert cfg.model_wrapper_cfg.device_ids is None


def test_one_process_needs_no_preparation(cfg):
    prepare_cpu_processes(cfg)
    assert "model_wrapper_cfg" not in cfg


def test_slurm_without_gpu_is_refused(cfg, monkeypatch):
    monkeypatch.setattr(runner, "default_device", lambda: "cpu")
    cfg.launcher = "slurm"
    with pytest.raises(RuntimeError, match=r"slurm needs GPUs.*dist_train\.sh"):
        prepare_cpu_processes(cfg)


def test_memory_is_kept_on_the_cpu_alone(monkeypatch):
    monkeypatch.setattr(runner.sys, "platform", "linux")
    monkeypatch.setattr(runner.ctypes, "CDLL", lambda _: pytest.fail("asked glibc"))
    monkeypatch.setattr(runner, "default_device", lambda: "cuda")
    keep_freed_memory()
