import pytest
import torch

from fairmot_mm.engine import runner
from fairmot_mm.utils import devices
from fairmot_mm.utils.devices import default_device


@pytest.fixture(autouse=True)
def asked_anew():
    default_device.cache_clear()
    yield
    default_device.cache_clear()


def test_apples_gpu_is_left_and_that_is_said_once(monkeypatch):
    said = []
    monkeypatch.setattr(devices, "get_device", lambda: "mps")
    monkeypatch.setattr(devices, "print_log", lambda text, **_: said.append(text))
    assert [default_device() for _ in range(3)] == ["cpu"] * 3
    (text,) = said
    assert "mps" in text
    assert "CPU" in text


@pytest.mark.parametrize("device", ["cpu", "cuda", "npu"])
def test_otherwise_it_is_mmengines_choice(monkeypatch, device):
    monkeypatch.setattr(devices, "get_device", lambda: device)
    assert default_device() == device


def test_the_tools_move_the_model_there(monkeypatch):
    class Model(torch.nn.Module):
        def to(self, device):
            self.moved_to = device

    model = Model()
    monkeypatch.setattr(devices, "get_device", lambda: "mps")
    monkeypatch.setattr(runner, "prepare_cpu_processes", lambda cfg: None)
    monkeypatch.setattr(runner, "keep_freed_memory", lambda: None)
    built = type("Built", (), dict(model=model))
    monkeypatch.setattr(runner.Runner, "from_cfg", lambda cfg: built)
    runner.build_runner(None)
    assert model.moved_to == "cpu"
