"""A mixture of four formats, trained by two processes."""

import math

import numpy as np
import pytest
from annotated_samples import read_mot, write_coco, write_crowdhuman, write_jde
from test_distributed_tools import DIST_TRAIN, PROCESSES, run_script
from test_train_and_test_tools import (
    REPOSITORY,
    load_checkpoint,
    optimizer_steps,
    scalars,
)

from fairmot_mm.datasets import JointDataset

CONFIG = """
_base_ = {base!r}
train_dataloader = dict(
    batch_size=2,
    num_workers=1,
    persistent_workers=False,
    drop_last=False,
    dataset=dict(
        _delete_=True,
        type="JointDataset",
        datasets={datasets!r},
        repeats=[1, 1, 2, 1],
        pipeline=[
            dict(type="CheckedLoadImageFromFile"),
            dict(type="RandomSaturationValue"),
            dict(type="Letterbox", size=(96, 64)),
            dict(type="RandomBoxAffine"),
            dict(type="mmdet.RandomFlip", prob=0.5),
            dict(type="PackTrackTrainInputs"),
        ],
    ),
)
model = dict(
    backbone=dict(out_indices=(0, 1, 2, 3, 4)),
    neck=dict(in_channels=(16, 32, 64, 128, 256), end_level=4),
)
train_cfg = dict(max_epochs=1)
default_hooks = dict(logger=dict(interval=1))
"""


@pytest.fixture
def datasets(tmp_path, synthetic) -> list[dict]:
    writers = (write_jde, write_coco, write_crowdhuman)
    configs = [dict(type="MOTFrameDataset", data_root=str(synthetic))]
    for name, writer in zip(
        sorted(p.name for p in synthetic.iterdir()), writers, strict=True
    ):
        root = tmp_path / name
        root.mkdir()
        configs.append(writer(read_mot(synthetic / name, (192, 128)), root))
    return configs


def test_four_formats_in_two_processes(tmp_path, datasets):
    joint = JointDataset(datasets, repeats=[1, 1, 2, 1])
    config = tmp_path / "joint.py"
    base = str(REPOSITORY / "configs" / "fairmot_dla34_demo.py")
    config.write_text(CONFIG.format(base=base, datasets=datasets))
    work = tmp_path / "work"
    run_script(work / "output", DIST_TRAIN, config, PROCESSES, "--work-dir", work)
    log = scalars(work)
    assert len(log) == math.ceil(len(joint) / (2 * PROCESSES))
    assert np.isfinite([entry["loss"] for entry in log]).all()
    saved = load_checkpoint(work / "epoch_1.pth")
    assert optimizer_steps(saved) == {len(log)}
    assert len(saved["state_dict"]["reid_head.classifier.weight"]) == joint.num_ids
    (file,) = work.glob("*/*.log")
    assert "total" in file.read_text()
    assert f"{joint.num_ids}" in file.read_text()
