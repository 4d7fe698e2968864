"""Joining and smoothing of tracks after tracking, with all frames known."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fairmot_mm.formats.boxes import xywh_to_xyxy
from fairmot_mm.formats.detection_dumps import DetectionDump

from .association import assign, box_iou

_SAME_OBJECT = 0.5  # IoU of a track's box and the detection it came from
_MOTION_FRAMES = 10  # at the end of a track, from which it is extrapolated
_APPEARANCE_BOXES = 30  # of a track's end, whose embeddings are averaged
_LARGEST_GROWTH = np.log(1.5)  # of the height over a gap
# Of the distance between where a track is expected and where another one starts, in
# heights: at once, and for each frame of the gap.
_DEVIATION, _DEVIATION_PER_FRAME = 0.3, 0.03
_WINDOW, _OVERLAP = 500, 50  # frames smoothed at once, as that takes their cube
_NOISE = 0.03  # standard deviation of a box's edge by the height of the box


Track = tuple[np.ndarray, np.ndarray]  # rows (n, 8), embeddings (n, D)


@dataclass(frozen=True)
class _End:
    """One end of a track: where it leads to, and how the person looks there."""

    frame: int
    label: int
    state: np.ndarray  # centre x, y, height
    speed: np.ndarray  # of the same per frame
    embedding: np.ndarray  # (D,) of length 1, or zeros

    def at(self, frame: int) -> np.ndarray:
        return self.state + self.speed * (frame - self.frame)


def link_tracks(
    rows: np.ndarray,
    embeddings: np.ndarray,
    max_gap: int = 60,
    embedding_limit: float = 0.15,
    motion_limit: float = 1.0,
) -> tuple[np.ndarray, int]:
    """Join tracks that break off with those that start later where they lead to.

    Two tracks of a class may be one if the second starts within ``max_gap`` frames
    after the first one's end, people look alike (mean embeddings of the ends), are of a
    size, and each, extrapolated over the gap at its speed, meets the other. Of all
    pairs, the cheapest assignment is taken.

    Args:
        rows: (N, 8) frame, identity, x, y, w, h, score, class.
        embeddings: (N, D) of length 1; zeros where there is none, which are judged by
            motion alone. D may be 0.
        max_gap: Longest gap in frames.
        embedding_limit: Greatest cosine distance.
        motion_limit: Greatest distance from where a track is expected, in standard
            deviations (0.3 heights and 0.03 per frame of the gap).

    Returns:
        The rows with the identity of the first track of each chain, sorted by (frame,
        identity); number of joints.
    """
    identities = np.unique(rows[:, 1])
    order = np.argsort(rows[:, 0], kind="stable")
    rows, embeddings = rows[order], embeddings[order]
    masks = [rows[:, 1] == identity for identity in identities]
    tracks = [(rows[chosen], embeddings[chosen]) for chosen in masks]
    costs = link_costs(tracks, tracks, max_gap, embedding_limit, motion_limit)
    firsts, seconds = assign(costs, 1.0)
    parent = dict(zip(identities[seconds], identities[firsts], strict=True))

    def root(identity: float) -> float:
        while identity in parent:
            identity = parent[identity]
        return identity

    linked = rows.copy()
    linked[:, 1] = [root(identity) for identity in rows[:, 1]]
    return linked[np.lexsort((linked[:, 1], linked[:, 0]))], len(firsts)


def link_costs(
    firsts: Sequence[Track],
    seconds: Sequence[Track],
    max_gap: int,
    embedding_limit: float = 0.15,
    motion_limit: float = 1.0,
) -> np.ndarray:
    """What it costs that a track goes on as another one, see :func:`link_tracks`.

    Args:
        firsts: For each track, its rows and their embeddings by frame; at least its
            last 30 boxes.
        seconds: The same, at least the first 30 boxes.
        max_gap: Longest gap in frames.
        embedding_limit: Greatest cosine distance.
        motion_limit: Greatest distance from where a track is expected.

    Returns:
        (N, M) costs up to 1, infinite where it cannot be.
    """
    ends = [
        _end(rows[-_MOTION_FRAMES:], looks[-_APPEARANCE_BOXES:], -1)
        for rows, looks in firsts
    ]
    starts = [
        _end(rows[:_MOTION_FRAMES], looks[:_APPEARANCE_BOXES], 0)
        for rows, looks in seconds
    ]
    costs = np.full((len(ends), len(starts)), np.inf)
    for i, end in enumerate(ends):
        for j, start in enumerate(starts):
            if 0 < start.frame - end.frame <= max_gap + 1 and start.label == end.label:
                costs[i, j] = _cost(end, start, embedding_limit, motion_limit)
    return costs


def smooth_tracks(rows: np.ndarray, tau: float = 10.0) -> np.ndarray:
    """Smooth the boxes of tracks by a Gaussian process over the frames.

    Du et al., *StrongSORT*, arXiv:2202.13514, section 3.4 (GSI, after filling gaps
    linearly): a radial basis function whose length shrinks with the number n of boxes,
    ``tau * ln(tau ** 3 / n)``. Theirs has no noise; here a box's edges are uncertain by
    3 % of its height, and what is modelled is the deviation from a straight line.

    Args:
        rows: (N, C) frame, identity, x, y, w, h, ...
        tau: Frames.

    Returns:
        (N, C) in the order of ``rows``.
    """
    smooth = rows.copy()
    for identity in np.unique(rows[:, 1]):
        (chosen,) = np.nonzero(rows[:, 1] == identity)
        chosen = chosen[np.argsort(rows[chosen, 0])]
        length = float(np.clip(tau * np.log(tau**3 / len(chosen)), 1 / tau, tau**2))
        for start in range(0, len(chosen), _WINDOW):
            inner = chosen[start : start + _WINDOW]
            known = chosen[max(start - _OVERLAP, 0) : start + _WINDOW + _OVERLAP]
            boxes = _smooth_boxes(rows[known, 0], rows[known, 2:6], length)
            smooth[inner, 2:6] = boxes[np.isin(known, inner)]
    return smooth


def embeddings_of(rows: np.ndarray, dump: DetectionDump) -> np.ndarray:
    """Embeddings of a result file's boxes: those of the detections they came from.

    Args:
        rows: (N, C) frame, identity, x, y, w, h, ...
        dump: What was tracked.

    Returns:
        (N, D) float32 of length 1, zeros where no detection overlaps by half.

    Raises:
        ValueError: Less than half of the boxes overlap a detection: the results are of
            other detections.
    """
    found = np.zeros((len(rows), dump.embeddings.shape[1]), np.float32)
    matched = 0
    for frame in np.unique(rows[:, 0]).astype(int):
        (chosen,) = np.nonzero(rows[:, 0] == frame)
        seen = dump.rows(frame)
        overlaps = box_iou(xywh_to_xyxy(rows[chosen, 2:6]), dump.bboxes[seen])
        if overlaps.shape[1] == 0:
            continue
        best = overlaps.argmax(1)
        same = overlaps[np.arange(len(chosen)), best] >= _SAME_OBJECT
        matched += int(same.sum())
        vectors = dump.embeddings[seen][best[same]].astype(np.float32)
        lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
        found[chosen[same]] = vectors / np.maximum(lengths, np.finfo(np.float32).tiny)
    if 2 * matched < len(rows):
        raise ValueError(
            f"{dump.source}: only {matched} of {len(rows)} boxes of the results "
            "overlap a detection: they are of another run or sequence"
        )
    return found


def _end(track: np.ndarray, looks: np.ndarray, index: int) -> _End:
    states = np.column_stack((track[:, 2:4] + track[:, 4:6] / 2, track[:, 5]))
    frames = track[:, 0]
    speed = np.zeros(3)
    if len(track) > 2:
        centred = frames - frames.mean()
        speed = centred @ states / (centred @ centred)
    speed[2] = 0  # heights of few boxes say nothing about their growth
    mean = looks.mean(0)
    mean = mean / max(float(np.linalg.norm(mean)), np.finfo(np.float32).tiny)
    return _End(int(frames[index]), int(track[index, 7]), states[index], speed, mean)


def _cost(end: _End, start: _End, embedding_limit: float, motion_limit: float) -> float:
    """Cost of a joint, at most 1 if it is possible."""
    gap = start.frame - end.frame
    height = (end.state[2] + start.state[2]) / 2
    if min(end.state[2], start.state[2]) <= 0:  # extrapolated too far by the tracker
        return np.inf
    if abs(np.log(start.state[2] / end.state[2])) > _LARGEST_GROWTH:
        return np.inf
    misses = (end.at(start.frame) - start.state, start.at(end.frame) - end.state)
    distance = np.mean([np.linalg.norm(miss[:2]) for miss in misses]) / height
    motion = distance / (_DEVIATION + _DEVIATION_PER_FRAME * gap) / motion_limit
    known = end.embedding.any() and start.embedding.any()
    appearance = 0.0
    if known:
        appearance = (1 - float(end.embedding @ start.embedding)) / embedding_limit
    if max(motion, appearance) > 1:
        return np.inf
    return float((motion + appearance) / 2)


def _smooth_boxes(frames: np.ndarray, boxes: np.ndarray, length: float) -> np.ndarray:
    """Boxes (n, 4) xywh of consecutive times; its own mean line for each number."""
    from sklearn.gaussian_process import GaussianProcessRegressor
    from sklearn.gaussian_process.kernels import RBF

    if len(frames) < 3:
        return boxes
    # Centres and sizes move less dependently than corners.
    states = np.column_stack((boxes[:, :2] + boxes[:, 2:] / 2, boxes[:, 2:]))
    times = frames - frames.mean()
    noise = _NOISE * np.median(boxes[:, 3])
    smooth = np.empty_like(states)
    for i, values in enumerate(states.T):
        line = np.polynomial.Polynomial.fit(times, values, 1)(times)
        deviation = max(float(np.std(values - line)), 1e-6)
        process = GaussianProcessRegressor(
            RBF(length, "fixed"), alpha=(noise / deviation) ** 2, optimizer=None
        )
        process.fit(times[:, None], (values - line) / deviation)
        smooth[:, i] = line + deviation * process.predict(times[:, None])
    smooth[:, 2:] = np.maximum(smooth[:, 2:], 1e-3)
    return np.column_stack((smooth[:, :2] - smooth[:, 2:] / 2, smooth[:, 2:]))
