"""Frames of files, streams, cameras and folders."""

import threading
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
from mmengine.logging import MMLogger
from tenacity import (
    RetryCallState,
    RetryError,
    Retrying,
    retry_if_exception_type,
    sleep_using_event,
    stop_when_event_set,
    wait_exponential,
)

from fairmot_mm.formats.images import IMAGES, image_names, read_image
from fairmot_mm.structures.frame_rate import (
    DEFAULT_FRAME_RATE,
    checked_frame_rate,
    usable_frame_rate,
)

from .clock import StreamClock
from .decoding import Converter, Decoder, is_address, is_camera, shown
from .frame import Frame, Picture

Frames = Generator[np.ndarray, None, None]
Pictures = Generator[Picture, None, None]
_LONGEST_WAIT = 60.0


class StreamLost(OSError):  # noqa: N818 - what happened, as StopIteration
    """A network stream or camera ended, or sends nothing any more."""


@dataclass(frozen=True)
class StreamSettings:
    """How a stream is read.

    Attributes:
        frame_rate: Replaces the one that the source reports.
        every: Take every n-th frame only; numbers and times stay the source's.
        live: Whether frames are made as they are read. None: cameras and network
            addresses are live, files and folders are not.
        timeout: Seconds to open the source, and to wait for its data.
        reconnect: Come back after a loss, until closed.
        first_wait: Seconds before the first attempt to come back; each further wait is
            twice as long, up to a minute.
        section: Of a recording, the timestamps in seconds, as the file has them, from
            which on and before which frames are taken; all if None. Numbers and times
            count from the first frame taken.
        threads: Threads that decode; 0 leaves it to FFmpeg.

    Raises:
        ValueError: One of them is out of range.
    """

    frame_rate: float | None = None
    every: int = 1
    live: bool | None = None
    timeout: float = 10.0
    reconnect: bool = False
    first_wait: float = 1.0
    section: tuple[float, float] | None = None
    threads: int = 0

    def __post_init__(self) -> None:
        if self.frame_rate is not None:
            checked_frame_rate(self.frame_rate)
        if self.every < 1:
            raise ValueError(f"every={self.every}: give 1 or more")
        for name in ("timeout", "first_wait"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name}={getattr(self, name)}: give seconds above 0")


class Stream:
    """A video file, network stream, camera or folder of images.

    Iterating over it, which is possible once, yields each :class:`Frame`. What cannot
    be decoded is left out and counted. Nothing happens before :meth:`open`.

    Args:
        source: Video file, address, number of a camera, or folder of images.
        settings: How it is read.

    Attributes:
        frame_rate: Frames per second that it yields; known once it is open.
        live: Whether frames are made as they are read.
        lost: Whether it is trying to come back.
        num_losses: How often the source was lost.
    """

    def __init__(
        self,
        source: str | Path | int,
        settings: StreamSettings | None = None,
    ) -> None:
        self.source, self.settings = source, settings or StreamSettings()
        live = self.settings.live
        remote = is_address(source) or is_camera(source)
        self.live = remote if live is None else live
        self.frame_rate = DEFAULT_FRAME_RATE
        self.lost, self.num_losses = False, 0
        self._remote = remote
        self._interval = 1 / DEFAULT_FRAME_RATE
        self._converter = Converter()
        self._images: list[Path] | None = None
        self._decoder: Decoder | None = None
        self._num_damaged = 0  # of the connections before
        self._closed, self._lock = threading.Event(), threading.Lock()
        self._iterating = False

    @property
    def num_damaged(self) -> int:
        """Number of packets that could not be decoded."""
        return self._num_damaged + (self._decoder.num_damaged if self._decoder else 0)

    def open(self) -> None:
        """Open the source.

        Raises:
            OSError: It cannot be opened in time, or has no video.
            ValueError: A folder has no images, or only some are named by numbers.
        """
        rate = self.settings.frame_rate
        folder = Path(str(self.source))
        if not self._remote and folder.is_dir():
            names = image_names(folder)
            if not names:
                raise ValueError(
                    f"no image in {folder}: looked for {', '.join(IMAGES)}"
                )
            self._images = [folder / name for name in names]
            rate = rate or DEFAULT_FRAME_RATE
        else:
            self._connect()
            if rate is None and self._decoder is not None:
                rate = usable_frame_rate(self._decoder.frame_rate, shown(self.source))
        rate = rate or DEFAULT_FRAME_RATE
        self._interval = 1 / rate
        self.frame_rate = rate / self.settings.every

    def open_patiently(self) -> bool:
        """:meth:`open`, again and again where the settings say to reconnect.

        Returns:
            Whether it is open; False if it was closed meanwhile.
        """
        if not (self._remote and self.settings.reconnect):
            self.open()
            return not self._closed.is_set()
        try:
            self.open()
        except OSError as error:
            self.lost = True
            self._warn(f"{error}. Trying again until it answers")
            opened = self._retry(self.open)
            self.lost = not opened
            return opened
        return not self._closed.is_set()

    def close(self) -> None:
        """End the iteration, also one of another thread that waits for data."""
        self._closed.set()
        with self._lock:
            # An iteration closes it by itself.
            if self._decoder is not None and not self._iterating:
                self._decoder.close()

    def __iter__(self) -> Iterator[Frame]:
        """Yield the frames; raises what :meth:`pictures` does."""
        with closing(self.pictures()) as pictures:
            for picture in pictures:
                yield self.frame(picture)

    def frame(self, picture: Picture) -> Frame:
        """The frame with its image; see :meth:`image`."""
        return Frame(self.image(picture), *picture[1:])

    def image(self, picture: Picture) -> np.ndarray:
        """(H, W, 3) BGR uint8, with the pixels that OpenCV gives.

        One thread at a time may call it, any one.
        """
        if isinstance(picture.origin, Path):
            return read_image(picture.origin)
        return self._converter.image(picture.origin)

    def pictures(self) -> Pictures:
        """The frames as they were decoded.

        For whoever makes other images of them, or images of some of them only.

        Raises:
            StreamLost: A network stream or camera ended or timed out, and the settings
                don't say to reconnect.
        """
        with self._lock:
            if self._closed.is_set():
                return
            self._iterating = True
        clock, every = StreamClock(self._interval, self.live), self.settings.every
        number = 0
        try:
            while True:
                for timestamp, origin in self._timed_origins(number):
                    arrived = time.monotonic()
                    now = clock.tick(timestamp, arrived)
                    if number % every == 0:
                        yield Picture(origin, number, now, arrived)
                    number += 1
                    if self._closed.is_set():
                        return
                if not self.lost or not self._come_back():
                    return
                clock.restart()
        finally:
            with self._lock:
                self._iterating = False
                if self._decoder is not None:
                    self._decoder.close()
            self._closed.set()

    def _timed_origins(
        self, count: int
    ) -> Iterator[tuple[float | None, av.VideoFrame | Path]]:
        """Timestamps and frames of a connection; ``lost`` tells whether it broke.

        Args:
            count: Number of frames before.
        """
        if self._images is not None:
            for path in self._images:
                yield None, path
            return
        decoder, reason = self._decoder, "the stream ended"
        assert decoder is not None, "open() comes first"
        section = self.settings.section
        frames = decoder.frames_between(*section) if section else decoder.frames()
        try:
            for frame, timestamp in frames:
                count += 1
                yield timestamp, frame
        except (TimeoutError, av.error.ExitError):
            reason = f"no data for {self.settings.timeout:g} s"
        except av.FFmpegError as error:
            reason = error.strerror or "reading failed"
        if self._closed.is_set():
            return
        announced = 0 if section else decoder.num_announced
        ended = reason == "the stream ended"
        if not self._remote or (announced and ended):
            if count < announced or not ended:
                self._warn(
                    f"ended after {count} of {announced or 'unknown'} announced "
                    f"frames, so it may be cut off ({reason})"
                )
            return
        self.num_losses += 1
        if not self.settings.reconnect or announced:  # a recording would start anew
            name = shown(self.source)
            raise StreamLost(f"{name}: lost after {count} frames: {reason}")
        self.lost = True
        self._warn(f"lost after {count} frames: {reason}. Trying to come back")

    def _come_back(self) -> bool:
        """Connect again; False if it was closed meanwhile."""
        start = time.monotonic()
        with self._lock:
            if self._decoder is not None:
                self._num_damaged = self.num_damaged
                self._decoder.close()
                self._decoder = None
        if not self._retry(self._connect):
            return False
        self.lost = False
        self._warn(
            f"came back after {time.monotonic() - start:.1f} s (loss {self.num_losses})"
        )
        return True

    def _retry(self, attempt: Callable[[], None]) -> bool:
        """Try until it works, after growing waits; False if closed meanwhile."""

        def report(state: RetryCallState) -> None:
            # Each would fill the log of a camera that is off over night.
            if state.attempt_number & (state.attempt_number - 1) == 0:
                self._warn(f"still lost after {state.attempt_number} attempts")

        first = self.settings.first_wait
        retrying = Retrying(
            retry=retry_if_exception_type(OSError),
            wait=wait_exponential(2 * first, max=_LONGEST_WAIT),
            stop=stop_when_event_set(self._closed),
            sleep=sleep_using_event(self._closed),
            before_sleep=report,
        )
        # First the wait: a server that takes and drops each connection is not flooded.
        if self._closed.wait(first):
            return False
        try:
            retrying(attempt)
        except RetryError:
            return False
        return not self._closed.is_set()

    def _connect(self) -> None:
        timeout = self.settings.timeout
        threads = self.settings.threads
        decoder = Decoder(self.source, self.live, timeout, self._closed, threads)
        with self._lock:
            self._decoder = decoder
            if self._closed.is_set() and not self._iterating:
                decoder.close()

    def _warn(self, text: str) -> None:
        name = shown(self.source)
        text = text if name in text else f"{name}: {text}"
        MMLogger.get_current_instance().warning(text)


def open_stream(
    source: str | Path | int, settings: StreamSettings | None = None
) -> Stream:
    """Open a video file, network stream, camera or folder of images.

    Args:
        source: Video file, address (RTSP, HTTP, ...), number of a camera or
            ``/dev/video*``, or folder of images.
        settings: How it is read.

    Raises:
        OSError: It cannot be opened within ``settings.timeout``, or has no video.
        ValueError: A folder has no images, or only some are named by numbers.
    """
    stream = Stream(source, settings)
    stream.open()
    return stream


def open_source(
    source: str | Path | int, frame_rate: float | None = None
) -> tuple[float, Frames]:
    """Frame rate and frames (H, W, 3), BGR uint8, of a source.

    Args:
        source: Video file or stream, number of a camera, or folder of images.
        frame_rate: Replaces the one that the source reports.

    Raises:
        OSError: It cannot be opened.
        ValueError: A folder has no images, or only some are named by numbers; or
            ``frame_rate`` is not one that a camera can have.
    """
    stream = open_stream(source, StreamSettings(frame_rate=frame_rate, live=False))
    return stream.frame_rate, _images(stream)


def _images(stream: Stream) -> Frames:
    with closing(until_lost(stream)) as pictures:
        for picture in pictures:
            yield stream.image(picture)


def until_lost(stream: Stream) -> Pictures:
    """The frames of a stream, which end with a warning where it is lost."""
    try:
        yield from stream.pictures()
    except StreamLost as error:
        MMLogger.get_current_instance().warning(f"{error}; its frames end here")
    finally:
        stream.close()
