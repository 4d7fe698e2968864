import numpy as np

from fairmot_mm.evaluation.interpolation import interpolate_gaps


def track(identity: int, frames: list[int]) -> np.ndarray:
    """A box that moves by (2, 1) pixels and grows by 1 a frame, 0.01 surer each."""
    f = np.array(frames, float)
    return np.column_stack(
        (f, np.full(len(f), identity), 2 * f, f, 10 + f, 20 + f, 0.5 + 0.01 * f)
    )


def test_gaps_are_filled_along_straight_lines():
    rows = np.concatenate((track(1, [1, 2, 6, 7]), track(2, [3])))
    filled = interpolate_gaps(rows, 3)
    expected = np.concatenate((track(1, range(1, 8)), track(2, [3])))
    expected = expected[np.lexsort((expected[:, 1], expected[:, 0]))]
    np.testing.assert_allclose(filled, expected)


def test_longer_gaps_and_other_tracks_stay():
    rows = np.concatenate((track(1, [1, 5]), track(2, [1, 3]), track(3, [2])))
    filled = interpolate_gaps(rows, 2)
    assert len(filled) == len(rows) + 1
    assert (filled[filled[:, 1] == 2, 0] == [1, 2, 3]).all()
    assert (filled[filled[:, 1] == 1, 0] == [1, 5]).all()


def test_nothing_to_fill():
    assert interpolate_gaps(np.empty((0, 7)), 5).shape == (0, 7)
    rows = track(1, [1, 4])
    np.testing.assert_array_equal(interpolate_gaps(rows, 0), rows)
