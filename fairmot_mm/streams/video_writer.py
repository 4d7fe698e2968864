from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np


class VideoWriter:
    """Writes frames to an MP4 file; a context manager.

    The first frame sets the size. The codec takes even sizes only: of an odd side, the
    last row or column is repeated.

    Args:
        path: The file, replaced if it exists; its folder is created.
        frame_rate: Frames per second.

    Raises:
        ValueError: The frame rate is not positive.
    """

    def __init__(self, path: str | Path, frame_rate: float) -> None:
        if frame_rate <= 0:
            raise ValueError(f"frame_rate must be positive, got {frame_rate}")
        self.path = Path(path)
        self.frame_rate = float(frame_rate)
        self._shape: tuple[int, ...] | None = None
        self._writer: cv2.VideoWriter | None = None

    def __enter__(self) -> VideoWriter:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def write(self, frame: np.ndarray) -> None:
        """Append a frame (H, W, 3), BGR uint8.

        Raises:
            ValueError: The frame has another size than the first one.
            OSError: The file cannot be written.
        """
        if self._writer is None:
            self._writer = self._open(frame.shape)
            self._shape = frame.shape
        if frame.shape != self._shape:
            raise ValueError(
                f"{self.path}: a frame of shape {frame.shape} cannot follow those "
                f"of shape {self._shape}"
            )
        height, width = frame.shape[:2]
        if height % 2 or width % 2:
            frame = cv2.copyMakeBorder(
                frame, 0, height % 2, 0, width % 2, cv2.BORDER_REPLICATE
            )
        self._writer.write(frame)

    def close(self) -> None:
        """Finish the file; another frame would start it anew."""
        if self._writer is not None:
            self._writer.release()
            self._writer = None

    def _open(self, shape: tuple[int, ...]) -> cv2.VideoWriter:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        height, width = (side + side % 2 for side in shape[:2])
        codec = cv2.VideoWriter.fourcc(*"mp4v")
        writer = cv2.VideoWriter(
            str(self.path), codec, self.frame_rate, (width, height)
        )
        if not writer.isOpened():
            raise OSError(
                f"cannot write the video {self.path}: check that its name ends in .mp4 "
                "and that its folder may be written"
            )
        return writer
