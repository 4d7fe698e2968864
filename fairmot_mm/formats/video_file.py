"""Single frames of video files."""

from __future__ import annotations

import functools
import os

import cv2
import numpy as np

# Decoding on is faster than seeking for fewer frames than this.
_SHORT_WAY = 32
# The next frame where it is not known: no way is short from there.
_NOWHERE = -1 - _SHORT_WAY


class VideoFile:
    """Frames of a video by their number.

    Args:
        path (str): The video.

    Raises:
        OSError: If it cannot be opened.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self._capture = self._open()
        self._next = 0

    def __len__(self) -> int:
        return self._length

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels."""
        width = self._capture.get(cv2.CAP_PROP_FRAME_WIDTH)
        return int(width), int(self._capture.get(cv2.CAP_PROP_FRAME_HEIGHT))

    @property
    def frame_rate(self) -> float:
        """Frames per second as the file says, 0 if it does not."""
        return self._capture.get(cv2.CAP_PROP_FPS)

    def read(self, index: int) -> np.ndarray:
        """Frame ``index`` from 0, (h, w, 3) BGR uint8.

        Raises:
            OSError: If it cannot be decoded, or the video takes no seek.
        """
        if not self._next <= index < self._next + _SHORT_WAY:
            self._next = _NOWHERE
            if not self._capture.set(cv2.CAP_PROP_POS_FRAMES, index):
                raise OSError(
                    f"{self.path}: cannot seek to frame {index}; convert it to mp4, "
                    "or to a folder of images"
                )
            self._next = index
        while self._next < index and self._capture.grab():
            self._next += 1
        found, image = self._capture.read()
        if not found or self._next != index:
            self._next = _NOWHERE
            raise OSError(f"frame {index} of {len(self)} cannot be decoded")
        self._next += 1
        return image

    def _open(self) -> cv2.VideoCapture:
        capture = cv2.VideoCapture(self.path)
        if not capture.isOpened():
            raise OSError(f"unreadable video {self.path}: missing, or no video")
        return capture

    @functools.cached_property
    def _length(self) -> int:
        """Number of frames: as the file says, if its last frame is the last one.

        Many a file says nothing, or what follows from its duration, or was cut off.
        """
        # Not the capture that reads: counting would move it.
        capture = self._open()
        claimed = capture.get(cv2.CAP_PROP_FRAME_COUNT)
        if (
            claimed >= 1
            and capture.set(cv2.CAP_PROP_POS_FRAMES, claimed - 1)
            and capture.grab()
            and not capture.grab()
        ):
            return int(claimed)
        capture, count = self._open(), 0
        while capture.grab():
            count += 1
        if not count:
            raise OSError(f"unreadable video {self.path}: not a single frame")
        return count


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
