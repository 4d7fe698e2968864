from __future__ import annotations

import errno
import shutil
from pathlib import Path

import cv2
import numpy as np

from fairmot_mm.structures.frame_rate import checked_frame_rate


class VideoWriter:
    """Writes frames to an MP4 file.

    The first frame sets the size. The codec takes even sizes only: of an odd side, the
    last row or column is repeated.

    Args:
        path: The file, replaced if it exists; its folder is created.
        frame_rate: Frames per second.

    Raises:
        ValueError: No camera has this frame rate.
    """

    # Kept free on the disk, because a file without its index is no video.
    _RESERVE = 8 << 20
    _INDEX_ENTRY = 32

    def __init__(self, path: str | Path, frame_rate: float) -> None:
        self.path = Path(path)
        # MPEG-4 takes rates of few digits only.
        self.frame_rate = round(checked_frame_rate(frame_rate), 2)
        self.num_frames = 0
        self._shape: tuple[int, ...] | None = None
        self._writer: cv2.VideoWriter | None = None

    def write(self, frame: np.ndarray) -> None:
        """Append a frame (H, W, 3), BGR uint8.

        Raises:
            ValueError: The frame has another size than the first one.
            OSError: The file cannot be written, or the disk is nearly full; what was
                written before makes a whole video.
        """
        if self._writer is None:
            self._writer = self._open(frame.shape)
            self._shape, self.num_frames = frame.shape, 0
        if frame.shape != self._shape:
            raise ValueError(
                f"{self.path}: a frame of shape {frame.shape} cannot follow those "
                f"of shape {self._shape}"
            )
        needed = self._RESERVE + self._INDEX_ENTRY * self.num_frames
        if shutil.disk_usage(self.path.parent).free < needed:
            text = f"disk nearly full, the video ends after {self.num_frames} frames"
            raise OSError(errno.ENOSPC, text, str(self.path))
        below, right = (side % 2 for side in frame.shape[:2])
        if below or right:
            frame = cv2.copyMakeBorder(frame, 0, below, 0, right, cv2.BORDER_REPLICATE)
        self._writer.write(frame)
        self.num_frames += 1

    def close(self) -> None:
        """Finish the file; another frame would start it anew.

        Raises:
            OSError: Frames are missing in it, because it could not be written.
        """
        if self._writer is None:
            return
        self._writer.release()
        self._writer = None
        # OpenCV reports no failed write.
        capture = cv2.VideoCapture(str(self.path))
        count = max(int(capture.get(cv2.CAP_PROP_FRAME_COUNT)), 0)  # -1 of some OpenCVs
        if count < self.num_frames:
            raise OSError(
                f"{self.path}: {count} of {self.num_frames} frames can be read; "
                "the disk is full, or the file was changed"
            )

    def _open(self, shape: tuple[int, ...]) -> cv2.VideoWriter:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        height, width = (side + side % 2 for side in shape[:2])
        codec, size = cv2.VideoWriter.fourcc(*"mp4v"), (width, height)
        writer = cv2.VideoWriter(str(self.path), codec, self.frame_rate, size)
        if not writer.isOpened():
            raise OSError(
                f"cannot write the video {self.path} of {width}x{height} at "
                f"{self.frame_rate:g} frames per second: check that its name ends in "
                ".mp4 and that its folder is writable"
            )
        return writer
