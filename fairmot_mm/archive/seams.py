"""Tracks of overlapping pieces become tracks of the whole video."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from fairmot_mm.formats.boxes import xywh_to_xyxy
from fairmot_mm.models.trackers.association import assign, box_iou, normalised
from fairmot_mm.models.trackers.linking import Track, link_costs

from .rows import TrackRows, concatenate

_SAME = 0.5  # greatest 1 - IoU of two tracks of one object
_RECENT = 10  # frames that both tracks have, whose IoU counts
# What it costs that two tracks were last seen together at the overlap's beginning and
# not at its end: where identities were switched between, the later pair is right.
_PAST = 0.25
_TICKS = 1e4  # a second; times of a frame in two pieces differ by rounding


@dataclass
class SeamCounts:
    """What happened at the seams of a video.

    Attributes:
        by_overlap: Tracks that went on, as their boxes are the same.
        by_appearance: Tracks that were lost before the seam and found again after it.
        new: Tracks that began after it.
    """

    by_overlap: int = 0
    by_appearance: int = 0
    new: int = 0


def join_pieces(
    pieces: Iterable[TrackRows],
    ends: Iterable[float],
    max_gap: int,
    counts: SeamCounts | None = None,
) -> Iterator[TrackRows]:
    """Join the tracks of a video's pieces.

    Up to the end of a piece, its tracks count; what the next one has until then is its
    tracker's warming up, and only tells which tracks are the same. These are the ones
    whose boxes overlap most on the last frames they share, one to one. Of the others,
    those are joined that were lost shortly before and are found again where they lead
    to and look alike, by the costs of :func:`link_costs`. All others get numbers that
    were not used before.

    Args:
        pieces: Rows of each piece, in order, read one after the other; their frames and
            times are those of the whole video.
        ends: Seconds from the video's first frame to each piece's end.
        max_gap: For how many frames the tracker keeps a lost track.
        counts: Is added to.

    Yields:
        For each piece, the rows of the joined video that it gives.
    """
    counts = SeamCounts() if counts is None else counts
    before: TrackRows | None = None
    begin, largest = -np.inf, 0
    for piece, end in zip(pieces, ends, strict=True):
        names: dict[int, int] = {}
        if before is not None:
            lasting = np.unique(piece.tracks[piece.times >= begin])
            piece = piece.select(np.isin(piece.tracks, lasting))
            names = _by_overlap(before, piece)
            counts.by_overlap += len(names)
            found = _by_appearance(before, piece, names, max_gap)
            counts.by_appearance += len(found)
            names |= found
        for track in np.unique(piece.tracks).tolist():
            if track not in names:
                largest += 1
                names[track] = largest
                counts.new += before is not None
        tracks = np.array([names[x] for x in piece.tracks.tolist()], np.int64)
        joined = piece.renumbered(tracks)
        kept = joined.select(joined.times >= begin)
        yield kept
        # A short piece may end before those come back that the last one lost.
        if before is not None:
            kept = concatenate((_tail(before, joined, max_gap), kept))
        before, begin = kept, end


def _tail(before: TrackRows, piece: TrackRows, max_gap: int) -> TrackRows:
    """Rows of tracks that may still be found again after the piece."""
    last = piece.frames.max(initial=0)
    return before.select(before.frames > last - max_gap - 2 * _RECENT)


def _by_overlap(first: TrackRows, second: TrackRows) -> dict[int, int]:
    """Tracks of the second that are tracks of the first, by the boxes they share."""
    shared = defaultdict(list)
    last = -np.inf
    for one, other in _common_frames(first, second):
        frame = int(first.frames[one.start])
        last = max(last, frame)
        boxes = [
            xywh_to_xyxy(rows.boxes[chosen].astype(float))
            for rows, chosen in ((first, one), (second, other))
        ]
        overlaps = box_iou(*boxes)
        overlaps[first.labels[one][:, None] != second.labels[other]] = 0
        for i, a in enumerate(first.tracks[one].tolist()):
            for j, b in enumerate(second.tracks[other].tolist()):
                shared[a, b].append((frame, overlaps[i, j]))
    if not shared:
        return {}
    ones, others = (sorted({pair[i] for pair in shared}) for i in (0, 1))
    begin = min(frame for pairs in shared.values() for frame, _ in pairs)
    costs = np.full((len(ones), len(others)), np.inf)
    for (a, b), pairs in shared.items():
        cost = 1 - float(np.mean([overlap for _, overlap in pairs[-_RECENT:]]))
        if cost <= _SAME:
            age = (last - pairs[-1][0]) / max(1, last - begin)
            costs[ones.index(a), others.index(b)] = cost + _PAST * age
    rows, columns = assign(costs, _SAME + _PAST)
    return {others[j]: ones[i] for i, j in zip(rows, columns, strict=True)}


def _common_frames(
    first: TrackRows, second: TrackRows
) -> Iterator[tuple[slice, slice]]:
    """Rows of the frames that both pieces have."""
    keys = [np.rint(rows.times * _TICKS).astype(np.int64) for rows in (first, second)]
    for key in np.intersect1d(keys[0], keys[1]).tolist():
        one, other = (slice(*np.searchsorted(x, (key, key + 1))) for x in keys)
        yield one, other


def _by_appearance(
    first: TrackRows, second: TrackRows, known: dict[int, int], max_gap: int
) -> dict[int, int]:
    """Tracks that the first lost and that the second finds again."""
    if len(second) == 0:
        return {}
    recent = first.frames > second.frames.min() - max_gap - 2
    olds = sorted(set(first.tracks[recent].tolist()) - set(known.values()))
    news = sorted(set(second.tracks.tolist()) - set(known))
    costs = link_costs(
        [_track(first, x) for x in olds], [_track(second, x) for x in news], max_gap
    )
    rows, columns = assign(costs, 1.0)
    return {news[j]: olds[i] for i, j in zip(rows, columns, strict=True)}


def _track(rows: TrackRows, track: int) -> Track:
    chosen = rows.select(rows.tracks == track)
    return chosen.result_rows(), normalised(chosen.embeddings.astype(np.float32))
