from collections import Counter

import pytest

from fairmot_mm.datasets import FramePairSampler
from fairmot_mm.datasets import frame_pair_sampler as module
from fairmot_mm.registry import DATA_SAMPLERS


class Images:
    """Images of sequences of given lengths, one after another."""

    def __init__(self, *lengths):
        self.sequences = []
        for length in lengths:
            first = len(self)
            self.sequences.append(range(first, first + length))

    def __len__(self):
        return self.sequences[-1].stop if self.sequences else 0

    def images_of_sequence(self, idx):
        return next(images for images in self.sequences if idx in images)


def pairs_of(sampler):
    images = list(sampler)
    assert len(images) == len(sampler)
    return list(zip(images[::2], images[1::2], strict=True))


def test_pairs_are_near_frames_of_one_sequence():
    images = Images(50, 100)
    pairs = pairs_of(FramePairSampler(images, max_gap=7, seed=0))
    assert len(pairs) == 75
    for first, second in pairs:
        assert images.images_of_sequence(first) == images.images_of_sequence(second)
        assert 1 <= abs(first - second) <= 7
    gaps = Counter(second - first for first, second in pairs)
    assert len(gaps) == 14  # near frames before and after alike
    assert len({first for first, _ in pairs}) == 75  # none is drawn twice


def test_an_image_without_sequence_is_paired_with_any_other():
    pairs = pairs_of(FramePairSampler(Images(*[1] * 9), seed=0))
    assert len(pairs) == 5
    assert {image for pair in pairs for image in pair} == set(range(9))
    assert sum(first == second for first, second in pairs) == 1  # the ninth


def test_epochs_differ_and_a_seed_repeats_them():
    sampler, same = (FramePairSampler(Images(30), seed=3) for _ in range(2))
    first = list(sampler)
    assert list(sampler) == first == list(same)
    sampler.set_epoch(1)
    assert list(sampler) != first


@pytest.mark.parametrize("world_size", [2, 3])
def test_processes_share_the_pairs(monkeypatch, world_size):
    alone = set(pairs_of(FramePairSampler(Images(20, 1, 21), seed=5)))
    shares = []
    for rank in range(world_size):
        monkeypatch.setattr(
            module, "get_dist_info", lambda rank=rank: (rank, world_size)
        )
        shares.append(pairs_of(FramePairSampler(Images(20, 1, 21), seed=5)))
    assert len({len(share) for share in shares}) == 1
    assert {pair for share in shares for pair in share} == alone
    assert sum(map(len, shares)) < len(alone) + world_size


def test_mistakes():
    with pytest.raises(ValueError, match="max_gap=0"):
        FramePairSampler(Images(3), max_gap=0)
    with pytest.raises(TypeError, match="list does not know"):
        FramePairSampler([1, 2])
    assert DATA_SAMPLERS.get("fairmot_mm.FramePairSampler") is FramePairSampler
