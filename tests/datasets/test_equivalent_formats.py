"""The same frames train the same, whatever format their annotations are in."""

from pathlib import Path

import numpy as np
import pytest
import torch
from annotated_samples import WRITERS, read_mot, write_crowdhuman
from mmengine.config import Config

from fairmot_mm.datasets import JDEFrameDataset
from fairmot_mm.registry import DATASETS

CONFIG = Path(__file__).parents[2] / "configs/_base_/mot_folder_data.py"
INPUT = (272, 152)


def pipeline() -> list[dict]:
    steps = Config.fromfile(CONFIG).train_pipeline
    for step in steps:
        if step["type"] == "Letterbox":
            step["size"] = INPUT
    return steps


def batches(config: dict) -> list[dict]:
    dataset = DATASETS.build(dict(config, pipeline=pipeline()))
    np.random.seed(7)
    return [dataset[i] for i in range(len(dataset))]


def assert_same(found: list[dict], expected: list[dict], atol: float = 0) -> None:
    assert len(found) == len(expected)
    for ours, theirs in zip(found, expected, strict=True):
        assert torch.equal(ours["inputs"], theirs["inputs"])
        ours = ours["data_samples"].gt_instances
        theirs = theirs["data_samples"].gt_instances
        assert torch.equal(ours.labels, theirs.labels)
        assert torch.equal(ours.instances_ids, theirs.instances_ids)
        torch.testing.assert_close(
            ours.bboxes.tensor, theirs.bboxes.tensor, rtol=0, atol=atol
        )


@pytest.fixture(scope="module")
def folder_of_mot(real_sequence) -> dict:
    return dict(type="MOTFrameDataset", data_root=str(real_sequence))


@pytest.fixture(scope="module")
def frames(real_sequence):
    return read_mot(real_sequence, (1920, 1080))


@pytest.fixture(scope="module")
def expected(folder_of_mot):
    from mmengine.registry import init_default_scope

    init_default_scope("fairmot_mm")
    found = batches(folder_of_mot)
    counts = [len(sample["data_samples"].gt_instances) for sample in found]
    assert len(counts) == 8
    assert min(counts) > 5
    return found


@pytest.mark.parametrize("name", WRITERS)
def test_eight_real_frames_make_identical_batches(name, tmp_path, frames, expected):
    assert_same(batches(WRITERS[name](frames, tmp_path)), expected)


def test_six_decimals_as_published_move_boxes_by_rounding_alone(
    tmp_path, frames, folder_of_mot
):
    config = WRITERS["jde"](frames, tmp_path)
    for path in (tmp_path / "SET/labels_with_ids").iterdir():
        rows = np.loadtxt(path, ndmin=2)
        np.savetxt(path, rows, fmt="%d %d %.6f %.6f %.6f %.6f")
    published = JDEFrameDataset(config["ann_file"], config["data_root"])
    original = DATASETS.build(folder_of_mot)
    for i in range(len(original)):
        ours, theirs = published.get_data_info(i), original.get_data_info(i)
        np.testing.assert_allclose(
            ours["gt_bboxes"].numpy(), theirs["gt_bboxes"].numpy(), atol=2e-3
        )
        np.testing.assert_array_equal(
            ours["gt_instances_ids"], theirs["gt_instances_ids"]
        )


def test_crowdhuman_differs_by_identities_alone(tmp_path, frames, expected):
    found = batches(write_crowdhuman(frames, tmp_path))
    for ours, theirs in zip(found, expected, strict=True):
        assert torch.equal(ours["inputs"], theirs["inputs"])
        ours = ours["data_samples"].gt_instances
        theirs = theirs["data_samples"].gt_instances
        assert torch.equal(ours.bboxes.tensor, theirs.bboxes.tensor)
    ids = torch.cat([b["data_samples"].gt_instances.instances_ids for b in found])
    assert len(ids.unique()) == len(ids)
