"""What a video says of itself, and whether it has pictures."""

import threading
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime

import av
import fsspec

from fairmot_mm.streams.decoding import Decoder
from fairmot_mm.structures.frame_rate import usable_frame_rate

from .pieces import Piece, cut
from .videos import Video, is_local

# Videos up to this many times the length of a piece stay whole.
_WHOLE = 1.5
_TIMEOUT = 60.0


@dataclass(frozen=True)
class Probe:
    """What a video says of itself.

    Attributes:
        frame_rate: Frames per second.
        width: In pixels.
        height: In pixels.
        num_frames: Frames; 0 if it does not say.
        start: When it began; None if it does not say.
        pieces: What it was cut into.
    """

    frame_rate: float
    width: int
    height: int
    num_frames: int
    start: datetime | None
    pieces: tuple[Piece, ...]


def probe(video: Video, longest: float, overlap: float, every: int = 1) -> Probe:
    """Probe a video, and cut it if it is long.

    Of remote ones only the parts needed are read: the beginning, and the packets of
    those that are cut.

    Args:
        video: The video.
        longest: See :func:`cut`.
        overlap: See :func:`cut`.
        every: See :func:`cut`.

    Raises:
        OSError: It cannot be read, or not a single frame can be decoded.
    """
    if is_local(video.address):
        return _probe(video, video.address, longest, overlap, every)
    with fsspec.open(video.address, "rb") as file:
        return _probe(video, file, longest, overlap, every)


def _probe(
    video: Video,
    source: object,
    longest: float,
    overlap: float,
    every: int,
) -> Probe:
    try:
        decoder = Decoder(source, False, _TIMEOUT, threading.Event(), threads=1)  # type: ignore[arg-type]
    except OSError as error:
        reason = str(error).replace(str(source), video.address).partition("; give")[0]
        raise OSError(reason) from error
    with closing(decoder):
        times = None
        rate = usable_frame_rate(decoder.frame_rate, video.address)
        count = decoder.num_announced
        try:
            if count > _WHOLE * longest * rate:
                times = decoder.frame_times()
            frames = decoder.frames_between(float("-inf"), float("inf"))
            with closing(frames):
                if next(frames, None) is None:
                    raise OSError(f"unreadable video {video.address}: no frame in it")
        except av.FFmpegError as error:
            raise OSError(
                f"unreadable video {video.address}: {error.strerror}"
            ) from error
        pieces = [Piece(video.name, num_frames=count)]
        if times is not None:
            count = len(times)
            pieces = cut(video.name, times, longest, overlap, every)
        width, height = decoder.size
        return Probe(rate, width, height, count, decoder.created, tuple(pieces))
