"""Frames of one opened video, by PyAV."""

import itertools
import math
import queue
import re
import sys
import threading
import time
from collections.abc import Generator, Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO

import av
import numpy as np
from av.video.reformatter import Colorspace, Interpolation, VideoReformatter

from .threads import read_ahead

_DEVICE = re.compile(r"/dev/video\d+")
_ADDRESS = re.compile(r"(?!file:)[a-z][a-z0-9+.-]+://", re.IGNORECASE)
# Errors in a row after which the rest of a source is given up: each passes over up to
# 64 kB of an MPEG transport stream.
_MOST_ERRORS = 16
# Microseconds of a live stream that opening looks at; five seconds and more without it.
_ANALYSIS = 2_000_000
_WAITING = 64  # packets that were received and are not yet decoded
# Seconds to begin earlier where a seek lands too late; the last is the beginning.
_SEEK_BACK = (0.0, 5.0, 60.0, math.inf)

Source = str | Path | int | BinaryIO


def is_address(source: Source) -> bool:
    """Whether a source is on the network."""
    return isinstance(source, str) and _ADDRESS.match(source) is not None


def is_camera(source: Source) -> bool:
    """Whether a source is a camera of this machine."""
    return isinstance(source, int) or _DEVICE.fullmatch(str(source)) is not None


def shown(source: Source) -> str:
    """A source as messages name it, without the password of a camera."""
    return re.sub(r"(?<=://)[^/@]*@", "***@", str(source))


class Converter:
    """Makes images of decoded frames, in one thread at a time."""

    def __init__(self) -> None:
        self._reformatter = VideoReformatter()

    def image(self, frame: av.VideoFrame) -> np.ndarray:
        """(H, W, 3) BGR uint8, with the pixels that OpenCV gives."""
        # It takes all colours for those of BT.601 and turns no picture, whatever the
        # video says.
        colours = Colorspace.ITU601
        return self._reformatter.reformat(
            frame,
            format="bgr24",
            src_colorspace=colours,
            dst_colorspace=colours,
            interpolation=Interpolation.BICUBIC,
            threads=1,
        ).to_ndarray()


class Decoder:
    """An opened video file, network stream or camera.

    Args:
        source: File, address, ``/dev/video*``, number of a camera, or a file that is
            open for reading.
        live: Ask for little delay, rather than for speed.
        timeout: Seconds to open, and to wait for data of an address or a camera.
        closed: Ends waiting once it is set.
        threads: Threads that decode; 0 leaves it to FFmpeg.

    Raises:
        OSError: It cannot be opened in time, or has no video.
    """

    def __init__(
        self,
        source: Source,
        live: bool,
        timeout: float,
        closed: threading.Event,
        threads: int = 0,
    ) -> None:
        self.source, self.timeout, self.closed = source, timeout, closed
        self.num_damaged = 0
        self._container = _open(source, live, timeout, closed)
        self._video = self._container.streams.video[0]
        # Threads that decode a frame each would delay by as many frames.
        self._video.thread_type = "SLICE" if live else "AUTO"
        self._video.codec_context.thread_count = threads
        if live:
            self._video.codec_context.flags |= av.codec.context.Flags.low_delay
        self._lock, self._reading, self._done = threading.Lock(), False, False

    @property
    def frame_rate(self) -> float:
        """Frames per second as the source says, 0 if it does not."""
        return float(self._video.guessed_rate or self._video.average_rate or 0)

    @property
    def num_announced(self) -> int:
        """Frames of a recording, from its duration if it doesn't say; 0 if unknown."""
        if self._video.frames:
            return self._video.frames
        if is_camera(self.source) or self._container.duration is None:
            return 0
        return round(self._container.duration / av.time_base * self.frame_rate)

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels."""
        return self._video.width, self._video.height

    @property
    def created(self) -> datetime | None:
        """When a recording began, if it says so."""
        try:
            text = self._container.metadata.get("creation_time", "")
            moment = datetime.fromisoformat(text)
        except ValueError:
            return None
        moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        return moment if moment.year > 1970 else None  # a clock that was not set

    def frame_times(self) -> np.ndarray | None:
        """Timestamps (n,) of a recording's frames in seconds, ascending.

        They are those of its packets, which are read and not decoded. None if there are
        packets without one, or two with the same.

        Raises:
            av.FFmpegError: Reading failed.
        """
        found = [packet.pts for packet in self._demux() if packet.size]
        stamps = sorted({stamp for stamp in found if stamp is not None})
        if not stamps or len(stamps) < len(found):
            return None
        return np.array([float(stamp * self._time_base) for stamp in stamps])

    def frames_between(
        self, begin: float, end: float
    ) -> Generator[tuple[av.VideoFrame, float | None], None, None]:
        """Frames of a recording from a timestamp on, and before another one.

        Raises:
            av.FFmpegError: Reading failed.
        """
        for back in _SEEK_BACK:
            self._seek(begin - back)
            self.num_damaged = 0
            frames = self.frames()
            first = next(frames, None)
            # Seeks go by the packets, and may land behind the frame asked for.
            if back == math.inf or (first is not None and (first[1] or 0) <= begin):
                break
            frames.close()
        with closing(frames):
            for frame, time_ in itertools.chain([first] if first else [], frames):
                if time_ is None or time_ < begin:
                    continue
                if time_ >= end:
                    return
                yield frame, time_

    @property
    def _time_base(self) -> float:
        return float(self._video.time_base or 0)

    def _seek(self, seconds: float) -> None:
        start = self._video.start_time or 0
        offset = start
        if math.isfinite(seconds):
            offset = max(start, round(seconds / self._time_base))
        self._container.seek(offset, stream=self._video)

    def frames(self) -> Generator[tuple[av.VideoFrame, float | None], None, None]:
        """Frames with their timestamps in seconds.

        What is damaged is left out and counted.

        Raises:
            av.FFmpegError: Reading failed.
            TimeoutError: No data came for ``timeout``.
        """
        for packet in self._packets():
            try:
                frames = [] if packet.is_corrupt else packet.decode()
                self.num_damaged += packet.is_corrupt
            except av.FFmpegError:
                self.num_damaged += 1
                continue
            for frame in frames:
                yield frame, frame.time

    def close(self) -> None:
        """Close it, at the latest when a read that waits for data times out."""
        with self._lock:
            self._done = True
            if not self._reading:
                self._container.close()

    def _packets(self) -> Iterator[av.Packet]:
        """Packets of the video; those that may not come are read in a thread."""
        if not (is_address(self.source) or is_camera(self.source)):
            yield from self._demux()
            return
        # PyAV's reads cannot be stopped.
        with read_ahead(self._demux(), _WAITING, self.closed, self.timeout) as packets:
            yield from packets

    def _demux(self) -> Generator[av.Packet, None, None]:
        with self._lock:
            if self._done:
                return
            self._reading = True
        try:
            yield from self._demux_on()
        finally:
            with self._lock:
                self._reading = False
                if self._done:
                    self._container.close()

    def _demux_on(self) -> Iterator[av.Packet]:
        """Packets of the video, beyond what is no packet."""
        errors, packets = 0, self._container.demux(self._video)
        while not self.closed.is_set():
            try:
                packet = next(packets, None)
            except av.InvalidDataError:
                self.num_damaged += 1
                errors += 1
                if errors > _MOST_ERRORS:
                    raise
                packets = self._container.demux(self._video)
                continue
            if packet is None:
                return
            errors = 0
            yield packet


def _open(
    source: Source, live: bool, timeout: float, closed: threading.Event
) -> av.container.InputContainer:
    """Open in a thread, because looking up a name and some cameras can't be stopped."""
    done: queue.SimpleQueue = queue.SimpleQueue()

    def run() -> None:
        try:
            container = _open_container(source, live, timeout)
        except Exception as error:
            done.put(error)
            return
        done.put(container)
        if given_up.is_set():
            container.close()

    given_up = threading.Event()
    threading.Thread(target=run, daemon=True, name=f"open {shown(source)}").start()
    waits = is_address(source) or is_camera(source)
    end = time.monotonic() + timeout + 1 if waits else math.inf
    while not closed.is_set() and time.monotonic() < end:
        try:
            result = done.get(timeout=0.1)
        except queue.Empty:
            continue
        if isinstance(result, Exception):
            raise result
        return result
    given_up.set()
    reason = "closed" if closed.is_set() else f"no answer within {timeout:g} s"
    raise OSError(f"unreadable video {shown(source)}: {reason}")


def _open_container(
    source: Source, live: bool, timeout: float
) -> av.container.InputContainer:
    options, kind, name = {}, None, str(source)
    if live:
        # Not fflags=nobuffer: it drops what was received while opening, and so the key
        # frame on which all up to the next one depend. Decoding catches up soon.
        options["analyzeduration"] = str(_ANALYSIS)
    if name.startswith(("rtsp://", "rtsps://")):
        options["rtsp_transport"] = "tcp"  # pictures lost over UDP come out smeared
    if is_camera(source):
        if sys.platform != "linux":
            raise OSError(
                f"camera {source}: cameras by number are read by v4l2, of Linux only; "
                "give its address or a file"
            )
        kind, name = "v4l2", f"/dev/video{source}" if isinstance(source, int) else name
    # A read that nobody waits for any more ends soon after.
    limits = (timeout, timeout + 0.5) if is_address(source) or kind else None
    start = time.monotonic()
    try:
        file: Any = source if hasattr(source, "read") else name
        container = av.open(file, "r", kind, options, timeout=limits)
        # Interrupted, it may have been opened in part, or failed for any reason.
        if limits and time.monotonic() - start >= timeout:
            container.close()
            raise av.error.ExitError(0, "interrupted")
    except (av.FFmpegError, ValueError) as error:
        if limits and time.monotonic() - start >= timeout:
            raise OSError(
                f"unreadable video {shown(source)}: no answer within {timeout:g} s; "
                "check that it is on and that its address is right"
            ) from error
        reason = getattr(error, "strerror", None) or "no video"
        raise OSError(
            f"unreadable video {shown(source)}: {reason}; give a video file or stream, "
            "the number of a camera, or a folder of images"
        ) from error
    if not container.streams.video:
        container.close()
        raise OSError(f"unreadable video {shown(source)}: it has no pictures")
    return container
