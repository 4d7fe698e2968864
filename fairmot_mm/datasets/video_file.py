"""Single frames of video files."""

from __future__ import annotations

import functools
import os

import cv2
import numpy as np

# Decoding on is faster than seeking for fewer frames than this.
_SHORT_WAY = 32


class VideoFile:
    """Frames of a video by their number.

    Args:
        path (str): The video.

    Raises:
        OSError: If it cannot be opened.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self._capture = cv2.VideoCapture(path)
        if not self._capture.isOpened():
            raise OSError(f"unreadable video {path}: missing, or no video")
        self._next = 0

    def __len__(self) -> int:
        return int(self._capture.get(cv2.CAP_PROP_FRAME_COUNT))

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels."""
        keys = cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT
        return tuple(int(self._capture.get(key)) for key in keys)

    def read(self, index: int) -> np.ndarray:
        """Frame ``index`` from 0, (h, w, 3) BGR uint8.

        Raises:
            OSError: If it cannot be decoded.
        """
        if not self._next <= index < self._next + _SHORT_WAY:
            self._capture.set(cv2.CAP_PROP_POS_FRAMES, index)
            self._next = index
        while self._next < index and self._capture.grab():
            self._next += 1
        found, image = self._capture.read()
        if not found or self._next != index:
            self._next = -1 - _SHORT_WAY  # wherever it stands now
            raise OSError(f"frame {index} of {len(self)} cannot be decoded")
        self._next += 1
        return image


def read_frame(path: str, index: int) -> np.ndarray:
    """Frame ``index`` of a video, which stays open for the next one.

    Raises:
        OSError: If the video or the frame cannot be read.
    """
    return _opened(path, os.getpid()).read(index)


@functools.lru_cache(maxsize=4)
def _opened(path: str, process: int) -> VideoFile:
    # A decoder must not be shared with a forked process.
    return VideoFile(path)
