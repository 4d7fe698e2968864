"""Pictures of streams on their way to viewers."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import cv2
import numpy as np

from .view import StreamView

# Wider pictures are scaled down: they would take time from the trackers.
_GREATEST_WIDTH = 1280
_QUALITY = 80


class PictureFeed:
    """The newest picture of a stream as JPEG, encoded once for all viewers.

    Args:
        view: The stream.
        executor: Where pictures are encoded.
    """

    def __init__(self, view: StreamView, executor: ThreadPoolExecutor) -> None:
        self.view, self._executor = view, executor
        self._lock = asyncio.Lock()
        self._number, self._data = 0, b""

    async def newest(self, seen: int) -> tuple[int, bytes] | None:
        """Number and data of the newest picture; None if it has been ``seen``."""
        async with self._lock:
            number, image = self.view.picture()
            if image is None or number <= seen:
                return None
            if number > self._number:
                loop = asyncio.get_running_loop()
                self._data = await loop.run_in_executor(self._executor, encode, image)
                self._number = number
            return self._number, self._data


class Viewers:
    """Tells those who watch that there is something new."""

    def __init__(self) -> None:
        self._changed, self._closed = asyncio.Event(), False

    def wake(self) -> None:
        """A picture has come; called in the event loop."""
        event, self._changed = self._changed, asyncio.Event()
        event.set()

    def close(self) -> None:
        """End what :meth:`follow` gives; called in the event loop."""
        self._closed = True
        self.wake()

    async def follow(
        self, feeds: Sequence[PictureFeed]
    ) -> AsyncGenerator[tuple[int, bytes] | None, None]:
        """A feed's index and its picture, as pictures come.

        Who takes them slowly misses some. None comes before each picture is chosen, so
        that a taker can get rid of the last one first.
        """
        seen = [0] * len(feeds)
        with ExitStack() as stack:
            for feed in feeds:
                stack.enter_context(feed.view.watched())
            while not self._closed:
                changed = self._changed
                for index, feed in enumerate(feeds):
                    if feed.view.picture()[0] > seen[index]:
                        yield None
                    picture = await feed.newest(seen[index])
                    if picture is not None:
                        seen[index], data = picture
                        yield index, data
                await changed.wait()


def encode(image: np.ndarray) -> bytes:
    """A picture (H, W, 3), BGR uint8, as JPEG, scaled down if it is wide."""
    height, width = image.shape[:2]
    if width > _GREATEST_WIDTH:
        size = (_GREATEST_WIDTH, max(1, round(height * _GREATEST_WIDTH / width)))
        image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    _, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
    return data.tobytes()
