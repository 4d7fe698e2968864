import numpy as np


def interpolate_gaps(rows: np.ndarray, max_gap: int) -> np.ndarray:
    """Fill the gaps of tracks linearly, as ByteTrack does after tracking.

    Zhang et al., *ByteTrack*, arXiv:2110.06864, *tracklet interpolation*.
    ``mmdet.InterpolateTracklets`` does the same, but silently drops tracks of one or
    two boxes.

    Args:
        rows: (N, 7) frame, id, x, y, w, h, score.
        max_gap: Longest gap to fill, in missing frames.

    Returns:
        (M, 7) with the boxes added, sorted by (frame, id). Scores are interpolated
        like boxes.
    """
    filled = [rows]
    for identity in np.unique(rows[:, 1]):
        track = rows[rows[:, 1] == identity]
        track = track[np.argsort(track[:, 0])]
        missing = np.diff(track[:, 0]).astype(int) - 1
        for i in np.flatnonzero((missing > 0) & (missing <= max_gap)):
            share = np.arange(1, missing[i] + 1)[:, None] / (missing[i] + 1)
            filled.append(track[i] + share * (track[i + 1] - track[i]))
    rows = np.concatenate(filled)
    rows[:, 0] = np.rint(rows[:, 0])
    return rows[np.lexsort((rows[:, 1], rows[:, 0]))]


def interpolate_classes(rows: np.ndarray, max_gap: int) -> np.ndarray:
    """Fill the gaps of tracks, of each class on its own.

    Args:
        rows: (N, 8) as for :func:`interpolate_gaps`, and the class.
        max_gap: Longest gap to fill, in missing frames; 0 fills none.

    Returns:
        (M, 8) with the boxes added.
    """
    if not max_gap:
        return rows
    filled = [
        interpolate_gaps(rows[rows[:, 7] == number], max_gap)
        for number in np.unique(rows[:, 7])
    ]
    return np.concatenate([rows[:0], *filled])
