from collections import Counter
from itertools import product

import numpy as np
import pytest

from fairmot_mm.datasets import MOTVideoDataset, VideoSampler
from fairmot_mm.datasets import video_sampler as module
from fairmot_mm.registry import DATA_SAMPLERS


class Videos:
    """A dataset of videos of given lengths."""

    def __init__(self, lengths):
        self.lengths = lengths

    def __len__(self):
        return len(self.lengths)

    def get_len_per_video(self, index):
        return self.lengths[index]


@pytest.fixture
def shares(monkeypatch):
    """What each of some processes gets."""

    def compute(lengths, world_size):
        samplers = []
        for rank in range(world_size):
            monkeypatch.setattr(
                module, "get_dist_info", lambda rank=rank: (rank, world_size)
            )
            samplers.append(VideoSampler(Videos(lengths)))
        assert all(len(sampler) == len(list(sampler)) for sampler in samplers)
        return [list(sampler) for sampler in samplers]

    return compute


def test_one_process_gets_all_frames_in_order(synthetic):
    dataset = MOTVideoDataset(str(synthetic))
    sampler = DATA_SAMPLERS.build(dict(type="VideoSampler", dataset=dataset, seed=5))
    expected = [(v, f) for v, length in enumerate((6, 5, 4)) for f in range(length)]
    assert list(sampler) == expected
    assert len(sampler) == 15
    sampler.set_epoch(3)
    assert list(sampler) == expected


def test_shared_out_by_hand(shares):
    first, second = shares([3, 9, 4, 3], 2)
    # 9 to the first; 4, 3 and 3 to the second, which has less each time but the last.
    assert Counter(video for video, _ in first) == {1: 9}
    assert Counter(video for video, _ in second) == {0: 3, 2: 4, 3: 3}


def test_every_frame_once_and_videos_whole(shares):
    rng = np.random.default_rng(0)
    for _ in range(50):
        lengths = rng.integers(1, 60, rng.integers(1, 12)).tolist()
        got = shares(lengths, int(rng.integers(1, 9)))
        frames = [index for share in got for index in share]
        assert sorted(frames) == [
            (v, f) for v, n in enumerate(lengths) for f in range(n)
        ]
        for share in got:
            # Ascending, so each video's frames come in order and without another's.
            assert share == sorted(share)
        owners = [{video for video, _ in share} for share in got]
        assert sum(map(len, owners)) == len(lengths)


def test_frames_are_balanced(shares):
    rng = np.random.default_rng(1)
    for _ in range(15):
        lengths = rng.integers(1, 100, 7).tolist()
        for world_size in (2, 3):
            best = min(
                max(np.bincount(owners, lengths, minlength=world_size))
                for owners in product(range(world_size), repeat=len(lengths))
            )
            assert max(map(len, shares(lengths, world_size))) <= 4 / 3 * best


def test_more_processes_than_videos(shares):
    got = shares([5, 8], 4)
    assert sorted(map(len, got)) == [0, 0, 5, 8]


def test_no_video(shares):
    assert shares([], 2) == [[], []]
