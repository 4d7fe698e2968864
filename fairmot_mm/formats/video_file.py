import functools
import math
import os
from pathlib import Path

import cv2
import numpy as np

from .images import read_image

# Decoding on is faster than seeking for fewer frames than this.
_SHORT_WAY = 32
_SEEK_BACK = (0, 32, 512)  # frames to start earlier where a seek lands too late
_OPEN_FILES = 32  # of a process, each with some 30 MB of frames at 1920 x 1080


class VideoFile:
    """Frames of a video by their number, also where the frame rate varies.

    Decoders seek by time, so each seek is checked by the timestamp it lands on.

    Raises:
        OSError: The video cannot be opened, or has no frame.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self._restart()
        status = Path(path).stat()
        self._times = _frame_times(path, status.st_mtime_ns, status.st_size)

    def __len__(self) -> int:
        return len(self._times)

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels."""
        width = self._capture.get(cv2.CAP_PROP_FRAME_WIDTH)
        return int(width), int(self._capture.get(cv2.CAP_PROP_FRAME_HEIGHT))

    @property
    def frame_gaps(self) -> np.ndarray:
        """(n - 1,) milliseconds from each frame to the next."""
        return np.diff(self._times)

    @property
    def frame_rate(self) -> float:
        """Frames per second as the file says, 0 if it does not."""
        return self._capture.get(cv2.CAP_PROP_FPS)

    def read(self, index: int) -> np.ndarray:
        """Frame ``index`` from 0, (h, w, 3) BGR uint8.

        Raises:
            OSError: It cannot be decoded, or the video takes no seek.
        """
        if not self._position <= index <= self._position + _SHORT_WAY:
            self._seek(index)
        while self._position < index and self._capture.grab():
            self._position += 1
        found, image = self._capture.retrieve()
        if not found or self._position != index:
            self._restart()
            what = f"frame {index} of {len(self)} cannot be decoded"
            raise OSError(f"{self.path}: {what}")
        return image

    def _restart(self) -> None:
        self._capture = _open(self.path)
        self._position = -1  # number of the frame that was grabbed last

    def _seek(self, index: int) -> None:
        """Go to a frame from which decoding on leads to ``index``."""
        known = False
        for start in (index - back for back in _SEEK_BACK):
            if not 0 < start < len(self):
                known = True
                break
            self._capture.set(cv2.CAP_PROP_POS_MSEC, self._times[start])
            if self._capture.grab():
                time = self._capture.get(cv2.CAP_PROP_POS_MSEC)
                (found,) = np.nonzero(np.isclose(self._times, time, 0, 1e-3))
                known |= len(found) == 1
                if len(found) == 1 and found[0] <= index:
                    self._position = int(found[0])
                    return
        self._restart()
        if not known:
            raise OSError(
                f"{self.path}: cannot seek to frame {index}; convert it: "
                f"ffmpeg -i {self.path} -fps_mode cfr converted.mp4"
            )


def read_frame(path: str, index: int | None) -> np.ndarray:
    """An image, or a frame of a video that stays open for the next one.

    Args:
        path: The image, or the video.
        index: Number of the frame, from 0; None for an image.

    Returns:
        (H, W, 3) BGR uint8.

    Raises:
        OSError: It cannot be read.
    """
    if index is None:
        return read_image(path)
    return _opened(path, os.getpid()).read(index)


@functools.lru_cache(_OPEN_FILES)
def _opened(path: str, process: int) -> VideoFile:
    # A decoder must not be shared with a forked process.
    return VideoFile(path)


def _open(path: str) -> cv2.VideoCapture:
    # Loaders have many videos open at once; each thread of a decoder holds frames.
    threads = (cv2.CAP_PROP_N_THREADS, 1)
    capture = cv2.VideoCapture(path, cv2.CAP_ANY, threads)
    if not capture.isOpened():
        raise OSError(f"unreadable video {path}: missing, or no video")
    return capture


@functools.lru_cache(1024)
def _frame_times(path: str, modified: int, size: int) -> np.ndarray:
    """Timestamps (n,) of the frames in milliseconds."""
    # The packets tell them without decoding, in the order of decoding, unless some are
    # broken, not shown or without timestamp.
    capture = _open(path)
    if capture.set(cv2.CAP_PROP_FORMAT, -1):
        times = sorted(_grab_times(capture))
        capture = _open(path)
        first = _grab_times(capture, 1)
        if first and first == times[:1] and len(set(times)) == len(times):
            capture.set(cv2.CAP_PROP_POS_MSEC, times[-1])
            if _grab_times(capture) == times[-1:]:
                return np.array(times)
        capture = _open(path)
    times = _grab_times(capture)
    if not times:
        raise OSError(f"unreadable video {path}: not a single frame")
    return np.array(times)


def _grab_times(capture: cv2.VideoCapture, most: float = math.inf) -> list[float]:
    times: list[float] = []
    while len(times) < most and capture.grab():
        times.append(capture.get(cv2.CAP_PROP_POS_MSEC))
    return times
