"""Broken tracks are joined, others are not; smoothing takes noise away."""

from pathlib import Path

import numpy as np
import pytest

from fairmot_mm.formats.detection_dumps import DetectionDump, DumpInfo
from fairmot_mm.models.trackers.linking import (
    embeddings_of,
    link_tracks,
    smooth_tracks,
)


def walk(identity, frames, x, speed=2.0, label=1):
    """Rows of a person who walks to the right."""
    frames = np.asarray([*frames], float)
    columns = (frames, identity, x + speed * frames, 50, 20, 50, 0.9, label)
    return np.column_stack(np.broadcast_arrays(*columns))


def looks(count, kind):
    """Embeddings of a kind of person."""
    return np.tile(np.eye(4, dtype=np.float32)[kind], (count, 1))


@pytest.mark.parametrize(
    ("second", "kind", "joints"),
    [
        (walk(2, range(40, 60), 0), 0, 1),  # where and who is expected
        (walk(2, range(40, 60), 0), 1, 0),  # somebody else
        (walk(2, range(40, 60), 300), 0, 0),  # elsewhere
        (walk(2, range(99, 120), 0), 0, 0),  # too late
        (walk(2, range(15, 60), 0), 0, 0),  # while the first one is there
        (walk(2, range(40, 60), 0, label=2), 0, 0),  # of another class
    ],
)
def test_what_is_joined(second, kind, joints):
    first = walk(1, range(1, 21), 0)
    rows = np.concatenate((first, second))
    embeddings = np.concatenate((looks(len(first), 0), looks(len(second), kind)))
    linked, count = link_tracks(rows, embeddings, max_gap=60)
    assert count == joints
    assert set(linked[:, 1]) == ({1.0} if joints else {1.0, 2.0})
    assert sorted(linked[:, 0]) == sorted(rows[:, 0])


def test_chains_and_the_cheapest_pairs():
    """Two people of whom each is broken twice; without embeddings."""
    rows = np.concatenate(
        [
            walk(10 * person + part, range(20 * part + 1, 20 * part + 15), 60 * person)
            for person in (1, 2)
            for part in (0, 1, 2)
        ]
    )
    linked, count = link_tracks(rows, np.zeros((len(rows), 0)))
    assert count == 4
    assert set(linked[:, 1]) == {10.0, 20.0}
    assert (
        linked[linked[:, 1] == 20, 2] - 2 * linked[linked[:, 1] == 20, 0] == 120
    ).all()


@pytest.mark.parametrize("length", [60, 700])
def test_smoothing_takes_noise_away(length):
    rng = np.random.default_rng(0)
    truth = walk(1, range(1, length + 1), 0, speed=1.5)
    truth[:, 3] += 10 * np.sin(truth[:, 0] / 25)
    noisy = truth.copy()
    noisy[:, 2:6] += rng.normal(0, 1.5, (length, 4))
    shuffled = rng.permutation(length)
    smooth = smooth_tracks(noisy[shuffled])
    np.testing.assert_array_equal(
        smooth[:, (0, 1, 6, 7)], noisy[shuffled][:, (0, 1, 6, 7)]
    )
    before = np.abs(noisy - truth)[:, 2:6].mean()
    after = np.abs(smooth - truth[shuffled])[:, 2:6].mean()
    assert after < 0.6 * before


def test_short_tracks_are_left_alone():
    rows = walk(1, [3, 4], 0)
    np.testing.assert_array_equal(smooth_tracks(rows), rows)


def test_embeddings_come_from_the_detections_below():
    rows = np.concatenate((walk(1, [1, 2], 0), walk(2, [1, 2], 100)))
    boxes = rows[:, 2:6]
    order = np.argsort(rows[:, 0], kind="stable")
    corners = np.hstack((boxes[:, :2], boxes[:, :2] + boxes[:, 2:]))[order]
    vectors = np.concatenate((looks(2, 0), 2 * looks(2, 1)))[order]
    dump = DetectionDump(
        DumpInfo("X", 1, 2, 30.0),
        Path("X.parquet"),
        rows[order, 0].astype(int),
        corners,
        np.ones(4),
        np.zeros(4, int),
        vectors.astype(np.float16),
    )
    expected = np.concatenate((looks(2, 0), looks(2, 1)))
    np.testing.assert_allclose(embeddings_of(rows, dump), expected)
    rows[:, 2] += 500
    with pytest.raises(ValueError, match="only 0 of 4 boxes"):
        embeddings_of(rows, dump)
