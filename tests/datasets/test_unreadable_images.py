"""Images that are deleted or cut while a training runs."""

from pathlib import Path

import pytest
import torch
from torch.utils.data import DataLoader

from fairmot_mm.datasets import JointDataset, MOTFrameDataset
from fairmot_mm.synthetic import make_sequence

PIPELINE = [dict(type="CheckedLoadImageFromFile"), dict(type="PackTrackTrainInputs")]


@pytest.fixture
def images(tmp_path) -> list[Path]:
    """Images of two sequences of 16 frames."""
    for i in range(2):
        folder = f"SYN-{i:02d}"
        size = dict(num_people=2, size=(96, 64))
        make_sequence(tmp_path, folder, num_frames=16, seed=i, **size)
    return sorted(tmp_path.glob("*/img1/*.jpg"))


def read(dataset: torch.utils.data.Dataset) -> list[str]:
    """Paths of an epoch's samples, read by two workers."""
    loader = DataLoader(dataset, 4, num_workers=2, collate_fn=list)
    return [sample["data_samples"].img_path for batch in loader for sample in batch]


@pytest.fixture
def dataset(images) -> JointDataset:
    root = str(images[0].parents[2])
    source = dict(type="MOTFrameDataset", data_root=root)
    return JointDataset([source], pipeline=PIPELINE)


def test_some_are_replaced_every_epoch(dataset, images):
    images[3].unlink()
    images[20].write_bytes(images[20].read_bytes()[:100])
    images[21].write_bytes(b"")
    for _ in range(6):  # more often than images may be lost
        paths = read(dataset)
        assert len(paths) == 32
        assert not {*paths} & {str(images[i]) for i in (3, 20, 21)}


def test_a_lost_disk_ends_the_training(dataset, images):
    for image in images:
        image.unlink()
    # Two workers can pass the limit of 10 together, so that the count is not always 11.
    with pytest.raises(OSError, match=r"unreadable image .*jpg.* 1\d images cannot be"):
        read(dataset)


def test_a_subset_counts_its_own(images):
    dataset = MOTFrameDataset(str(images[0].parents[2]), pipeline=PIPELINE)
    subset = dataset.get_subset([0, 1, *range(31)] * 2)
    images[30].unlink()
    assert len(read(subset)) == 66
