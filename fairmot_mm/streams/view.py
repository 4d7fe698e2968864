"""What is known of a stream now: written by tracking, read by the page."""

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

import numpy as np

# Seconds that the frame rate is measured over.
_RATE_WINDOW = 5.0


class StreamStatus(NamedTuple):
    """A stream's figures at a moment.

    Attributes:
        name: Name of the stream.
        state: What was reported last; "starting" before.
        frames: Frames tracked so far.
        tracks: Number of tracks on the last frame.
        fps: Frames tracked a second, over the last seconds.
        age: Seconds since the last frame was taken. None before the first one.
        losses: How often the stream was lost.
        dropped: Frames passed over because tracking was busy.
        error: Why the stream does not run. None if nothing is wrong.
        counts: Rows of :meth:`Counter.counts`: dictionaries of text, Python's own
            numbers and None, as JSON has them.
    """

    name: str
    state: str
    frames: int
    tracks: int
    fps: float
    age: float | None
    losses: int
    dropped: int
    error: str | None
    counts: Sequence[dict]


class StreamView:
    """What viewers see of a stream.

    Any thread may call any method; none waits for a viewer.

    Args:
        name: Name of the stream.
        on_picture: Called after a picture has come.
    """

    def __init__(self, name: str, on_picture: Callable[[], None] | None = None) -> None:
        self.name, self._on_picture = name, on_picture
        self._lock = threading.Lock()
        self._state, self._error = "starting", None  # type: tuple[str, str | None]
        self._num_losses = self._num_dropped = self._num_tracks = self._num_frames = 0
        self._counts: Sequence[dict] = ()
        self._captured: float | None = None
        self._shown: deque[float] = deque()
        self._image: np.ndarray | None = None
        self._image_number = self._num_viewers = 0

    @property
    def wanted(self) -> bool:
        """Whether a viewer is watching, so that a picture is worth drawing."""
        return self._num_viewers > 0

    def show(
        self,
        image: np.ndarray | None,
        num_tracks: int,
        counts: Sequence[dict],
        age: float,
    ) -> None:
        """Show a tracked frame.

        Args:
            image: (H, W, 3) BGR uint8; kept, so it must not be changed afterwards. None
                leaves the former picture.
            num_tracks: Number of tracks on it.
            counts: See :class:`StreamStatus`; kept as well.
            age: Seconds since the frame was taken.
        """
        now = time.monotonic()
        with self._lock:
            self._num_frames += 1
            self._num_tracks, self._counts = num_tracks, counts
            self._captured = now - age
            self._shown.append(now)
            self._forget(now)
            if image is not None:
                self._image = image
                self._image_number += 1
        if image is not None and self._on_picture is not None:
            self._on_picture()

    def report(
        self, state: str, num_losses: int, num_dropped: int, error: str | None
    ) -> None:
        """Report how the source is doing.

        Args:
            state: "opening", "running", "lost" or "ended".
            num_losses: How often the stream was lost so far.
            num_dropped: Frames passed over so far.
            error: Why it does not run. None if nothing is wrong.
        """
        with self._lock:
            self._state, self._error = state, error
            self._num_losses, self._num_dropped = num_losses, num_dropped

    def status(self) -> StreamStatus:
        """The figures now."""
        now = time.monotonic()
        with self._lock:
            self._forget(now)
            return StreamStatus(
                self.name,
                self._state,
                self._num_frames,
                self._num_tracks,
                self._rate(now),
                None if self._captured is None else now - self._captured,
                self._num_losses,
                self._num_dropped,
                self._error,
                self._counts,
            )

    def picture(self) -> tuple[int, np.ndarray | None]:
        """Number of the newest picture, from 1, and the picture; 0 and None if none."""
        with self._lock:
            return self._image_number, self._image

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Count a viewer; after the last one has left, the picture is let go."""
        with self._lock:
            self._num_viewers += 1
        try:
            yield
        finally:
            with self._lock:
                self._num_viewers -= 1
                if not self._num_viewers:
                    self._image = None

    def _forget(self, now: float) -> None:
        while self._shown and self._shown[0] < now - _RATE_WINDOW:
            self._shown.popleft()

    def _rate(self, now: float) -> float:
        if len(self._shown) < 2:
            return 0.0
        # Up to now: of a stream that stalls, the rate falls at once.
        return (len(self._shown) - 1) / max(now - self._shown[0], 1e-3)
