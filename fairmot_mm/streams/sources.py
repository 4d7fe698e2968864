"""Frames of files, streams, cameras and folders."""

import math
import queue
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TypeVar

import cv2
import numpy as np

from fairmot_mm.formats.images import IMAGES, image_names, read_image

Item = TypeVar("Item")

# Used when the source reports no frame rate.
DEFAULT_FRAME_RATE = 30.0


def read_ahead(items: Iterable[Item], size: int) -> Iterator[Item]:
    """Take items from an iterable in a thread, some ahead of whoever asks for them.

    Args:
        items (Iterable[Item]): Where they come from.
        size (int): Greatest number that waits.

    Yields:
        Item: The items, in order; an error while taking one is raised in its place.
    """
    waiting: queue.Queue = queue.Queue(size)
    stopped = threading.Event()
    end = object()

    def put(item: object) -> bool:
        while not stopped.is_set():
            try:
                waiting.put(item, timeout=0.1)
            except queue.Full:
                continue
            return True
        return False

    def work() -> None:
        error = None
        try:
            for item in items:
                if not put((item, None)):
                    return
        except BaseException as caught:
            error = caught
        put((end, error))

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        while True:
            item, error = waiting.get()
            if error is not None:
                raise error
            if item is end:
                return
            yield item
    finally:
        stopped.set()
        thread.join()


def open_source(source: str | Path | int) -> tuple[float, Iterator[np.ndarray]]:
    """Frame rate and frames of a source."""
    if not isinstance(source, int) and Path(source).is_dir():
        names = image_names(Path(source))
        if not names:
            raise ValueError(f"no image in {source}: looked for {', '.join(IMAGES)}")
        return DEFAULT_FRAME_RATE, (read_image(Path(source) / name) for name in names)
    capture = cv2.VideoCapture(source if isinstance(source, int) else str(source))
    if not capture.isOpened():
        raise OSError(
            f"unreadable video {source}: give a video file or stream, the number of a "
            "camera, or a folder of images"
        )
    frame_rate = capture.get(cv2.CAP_PROP_FPS)
    if not 0 < frame_rate < math.inf:  # 0, -1 or NaN by who does not know it
        frame_rate = DEFAULT_FRAME_RATE
    return frame_rate, _frames(capture)


def _frames(capture: cv2.VideoCapture) -> Iterator[np.ndarray]:
    try:
        while True:
            found, frame = capture.read()
            if not found:
                return
            yield frame
    finally:
        capture.release()
