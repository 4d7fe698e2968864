import copy
from types import SimpleNamespace

import pytest
from mmengine.config import Config, ConfigDict
from mmengine.runner import Runner

from fairmot_mm.datasets import MOTFrameDataset
from fairmot_mm.engine.runner import (
    build_training_runner,
    check_batches,
    fit_to_training_data,
    prepare_cpu_processes,
)


def config(data_root, **loader) -> Config:
    dataset = dict(type="MOTFrameDataset", data_root=str(data_root), pipeline=[])
    return Config(
        dict(
            default_scope="fairmot_mm",
            launcher="none",
            model=dict(reid_head=dict(num_ids="auto")),
            train_dataloader=dict(dict(batch_size=2, dataset=dataset), **loader),
        )
    )


def test_auto_becomes_the_number_of_identities(synthetic):
    cfg = config(synthetic)
    fit_to_training_data(cfg)
    identities = {
        (path.parent.parent.name, line.split(",")[1])
        for path in synthetic.glob("*/gt/gt.txt")
        for line in path.read_text().splitlines()
        if line.split(",")[6] == "1"
    }
    assert cfg.model.reid_head.num_ids == len(identities)


def test_a_wrapped_dataset_is_asked_too(synthetic):
    cfg, plain = config(synthetic), config(synthetic)
    cfg.train_dataloader.dataset = dict(
        type="RepeatDataset", times=3, dataset=cfg.train_dataloader.dataset
    )
    fit_to_training_data(cfg)
    fit_to_training_data(plain)
    assert cfg.model.reid_head.num_ids == plain.model.reid_head.num_ids


def test_a_given_number_stays(synthetic):
    cfg = config(synthetic)
    cfg.model.reid_head.num_ids = 1000
    fit_to_training_data(cfg)
    assert cfg.model.reid_head.num_ids == 1000


def test_a_dataset_that_does_not_know_is_named(synthetic):
    cfg = config(synthetic)
    cfg.train_dataloader.dataset = dict(
        type="MOTVideoDataset", data_root=str(synthetic), pipeline=[]
    )
    with pytest.raises(
        AttributeError, match=r"MOTVideoDataset has no num_ids.*num_ids"
    ):
        fit_to_training_data(cfg)


def test_data_that_make_no_batch_are_refused(monkeypatch):
    # Otherwise a training of no iteration would end in success.
    with pytest.raises(
        ValueError, match=r"15 training images for 1 processes make no batch of 16"
    ):
        check_batches(15, ConfigDict(batch_size=16, drop_last=True))
    check_batches(15, ConfigDict(batch_size=15, drop_last=True))
    check_batches(15, ConfigDict(batch_size=16, drop_last=False))
    # The sampler gives eight images to each of two, some to both.
    monkeypatch.setattr("fairmot_mm.engine.runner.get_world_size", lambda: 2)
    check_batches(15, ConfigDict(batch_size=8, drop_last=True))
    with pytest.raises(ValueError, match=r"for 2 processes make no batch of 9"):
        check_batches(15, ConfigDict(batch_size=9, drop_last=True))


def test_processes_without_gpu_are_wrapped_as_mmengine_does(synthetic, monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    monkeypatch.setattr("torch.distributed.is_initialized", lambda: True)
    cfg = config(synthetic)
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


def test_one_process_needs_no_preparation(synthetic):
    cfg = config(synthetic)
    prepare_cpu_processes(cfg)
    assert "model_wrapper_cfg" not in cfg


def test_slurm_without_gpu_is_refused(synthetic, monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    cfg = config(synthetic)
    cfg.launcher = "slurm"
    with pytest.raises(RuntimeError, match=r"slurm needs GPUs.*dist_train\.sh"):
        prepare_cpu_processes(cfg)


def test_training_data_are_read_once(synthetic, monkeypatch):
    cfg = config(synthetic, sampler=dict(type="DefaultSampler", shuffle=True))
    reads = []
    load = MOTFrameDataset.load_records
    monkeypatch.setattr(
        MOTFrameDataset,
        "load_records",
        lambda self: reads.append(self) or load(self),
    )
    logged = []
    runner = SimpleNamespace(
        _train_dataloader=copy.deepcopy(cfg.train_dataloader),
        logger=SimpleNamespace(info=logged.append),
    )
    monkeypatch.setattr(Runner, "from_cfg", lambda cfg: runner)
    build_training_runner(cfg)
    loader = Runner.build_dataloader(runner._train_dataloader, seed=0)
    assert len(reads) == 1
    assert loader.dataset.records is reads[0].records
    assert "15 images" in logged[0]


def test_identities_of_each_class_become_a_list(synthetic):
    cfg = config(synthetic)
    cfg.train_dataloader.dataset.update(
        per_class_ids=True, metainfo=dict(classes=("car", "pedestrian"))
    )
    fit_to_training_data(cfg)
    alone = config(synthetic)
    fit_to_training_data(alone)
    assert cfg.model.reid_head.num_ids == [0, alone.model.reid_head.num_ids]
