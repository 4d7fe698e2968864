import numpy as np


def interpolate_gaps(rows: np.ndarray, max_gap: int) -> np.ndarray:
    """Fill the gaps of tracks linearly, as ByteTrack does after tracking.

    Zhang et al., arXiv:2110.06864, *tracklet interpolation*. The same is
    ``mmdet.InterpolateTracklets``, but that silently drops tracks of one or two boxes.

    Args:
        rows: (N, 7) frame, id, x, y, w, h, score; (N, 8) with the class of the track.
        max_gap: Longest gap to fill, in missing frames.

    Returns:
        Rows with boxes and their scores added, sorted by (frame, id).
    """
    filled = [rows]
    keys = np.delete(rows[:, 1:], np.s_[1:6], axis=1)  # identity and class
    for key in np.unique(keys, axis=0):
        track = rows[(keys == key).all(axis=1)]
        track = track[np.argsort(track[:, 0])]
        missing = np.diff(track[:, 0]).astype(int) - 1
        for i in np.flatnonzero((missing > 0) & (missing <= max_gap)):
            share = np.arange(1, missing[i] + 1)[:, None] / (missing[i] + 1)
            filled.append(track[i] + share * (track[i + 1] - track[i]))
    rows = np.concatenate(filled)
    rows[:, 0] = np.rint(rows[:, 0])
    return rows[np.lexsort((rows[:, 1], rows[:, 0]))]
