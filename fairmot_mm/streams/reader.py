import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Generic, TypeVar

from .frame import Frame, Picture
from .sources import Stream, StreamSettings

# Frames of a recording that may wait.
_WAITING = 4

Item = TypeVar("Item")


class StreamReader(Generic[Item]):
    """Opens and reads a stream in a thread.

    Of a live stream it keeps the newest frame only, however slowly frames are taken;
    the pixels of those that nobody takes are never converted. Of others it keeps every
    frame, and waits while four are not yet taken.

    Args:
        source: See :func:`open_stream`.
        prepare: What is made of each frame that is taken. Of a live stream it runs when
            the frame is taken, of others before, in the thread.
        settings: How it is read. With ``reconnect``, a source that doesn't answer at
            the start is tried again as well.

    Attributes:
        opened: Set once the stream is open, or never will be (``error`` tells).
        error: What ended the stream, None if it ended by itself or was closed.
        num_dropped: Number of frames of a live stream that nobody took.
        last_arrival: ``time.monotonic()`` of the last frame read, None before any.
    """

    def __init__(
        self,
        source: str | Path | int,
        prepare: Callable[[Frame], Item],
        settings: StreamSettings | None = None,
    ) -> None:
        self.stream, self._prepare = Stream(source, settings), prepare
        self.opened = threading.Event()
        self.error: Exception | None = None
        self.num_dropped = 0
        self.last_arrival: float | None = None
        self._frames: deque[Picture | Item] = deque()
        self._changed = threading.Condition()
        self._closed = self._finished = False
        name = f"read {type(self).__name__} {id(self):x}"
        self._thread = threading.Thread(target=self._read, daemon=True, name=name)
        self._thread.start()

    @property
    def frame_rate(self) -> float:
        """Frames per second that it yields; known once it is open."""
        return self.stream.frame_rate

    @property
    def state(self) -> str:
        """``opening``, ``running``, ``lost`` (and coming back) or ``ended``."""
        if self.ended:
            return "ended"
        if self.stream.lost:
            return "lost"
        return "running" if self.opened.is_set() else "opening"

    @property
    def ended(self) -> bool:
        """Whether no frame will come any more, and none is left to take."""
        with self._changed:
            return self._closed or (self._finished and not self._frames)

    def take(self, timeout: float) -> Item | None:
        """The next frame, of a live stream the newest; each is given once.

        Args:
            timeout: Seconds to wait for it.

        Returns:
            What ``prepare`` made of it; None if there is none in time, or the stream
            has ended.
        """

        def ready() -> bool:
            return bool(self._frames) or self._closed or self._finished

        with self._changed:
            self._changed.wait_for(ready, timeout)
            if self._closed or not self._frames:
                return None
            frame = self._frames.popleft()
            self._changed.notify_all()
        if isinstance(frame, Picture):
            return self._prepare(self.stream.frame(frame))
        return frame

    def close(self) -> None:
        """End it; the thread may stay for a moment, if it is waiting for data."""
        with self._changed:
            self._closed = True
            self._frames.clear()
            self._changed.notify_all()
        self.stream.close()
        self._thread.join(1)

    def _read(self) -> None:
        try:
            if self.stream.open_patiently():
                self.opened.set()
                with closing(self.stream.pictures()) as pictures:
                    for picture in pictures:
                        self._give(picture)
                        if self._closed:
                            break
        except Exception as error:
            if not self._closed:
                self.error = error
        finally:
            self.stream.close()
            with self._changed:
                self._finished = True
                self._changed.notify_all()
            self.opened.set()

    def _give(self, picture: Picture) -> None:
        live = self.stream.live
        frame = picture if live else self._prepare(self.stream.frame(picture))
        with self._changed:
            if live:
                self.num_dropped += len(self._frames)
                self._frames.clear()
            else:
                self._changed.wait_for(
                    lambda: len(self._frames) < _WAITING or self._closed
                )
            self.last_arrival = time.monotonic()
            self._frames.append(frame)
            self._changed.notify_all()
