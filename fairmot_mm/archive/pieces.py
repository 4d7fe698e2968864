"""Long videos are tracked in pieces, which overlap."""

import math
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Piece:
    """A part of a video that one worker tracks.

    Attributes:
        video: Name of the video.
        number: Place among the video's pieces, from 0.
        first: Number of its first frame in the video, from 0.
        num_frames: Frames in it, those of the overlap with the next one included; 0 if
            not known.
        begin: Seconds from the video's first frame to this one's.
        section: Timestamps of the file between which its frames lie, see
            :class:`~fairmot_mm.streams.StreamSettings`; None is the whole video.
    """

    video: str
    number: int = 0
    first: int = 0
    num_frames: int = 0
    begin: float = 0.0
    section: tuple[float, float] | None = None


def cut(
    video: str,
    times: np.ndarray,
    longest: float,
    overlap: float,
    every: int = 1,
) -> list[Piece]:
    """Cut a video into pieces of equal length.

    Args:
        video: Its name.
        times: (n,) timestamps of its frames in seconds, ascending.
        longest: Greatest length of a piece in seconds, without the overlap.
        overlap: Seconds that a piece goes on into the next one.
        every: Pieces start at multiples of so many frames.
    """
    count = len(times)
    rate = (count - 1) / (times[-1] - times[0]) if count > 1 else 1.0
    parts = max(1, math.ceil(count / (longest * rate)))
    firsts = [i * count // parts // every * every for i in range(parts)]
    # Halfway between two frames, so that no rounding matters.
    edges = np.concatenate(
        ([-math.inf], (times[1:] + times[:-1]) / 2, [math.inf]), dtype=float
    )
    lap = max(1, round(overlap * rate))
    pieces = []
    for i, first in enumerate(firsts):
        last = count if i + 1 == parts else min(count, firsts[i + 1] + lap)
        pieces.append(
            Piece(
                video,
                i,
                first,
                last - first,
                float(times[first] - times[0]),
                (float(edges[first]), float(edges[last])),
            )
        )
    return pieces
