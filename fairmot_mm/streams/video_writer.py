import errno
import shutil
from fractions import Fraction
from pathlib import Path

import numpy as np

from fairmot_mm.structures.frame_rate import checked_frame_rate

from .encoding import Encoder


class VideoWriter:
    """Writes frames to a video file.

    The first frame sets the size; see :class:`Encoder`.

    Args:
        path: The file, see :class:`Encoder`.
        frame_rate: Frames per second.

    Raises:
        ValueError: No camera has this frame rate.
    """

    # Kept free on the disk, because a file without its index is no video.
    _RESERVE = 8 << 20
    _INDEX_ENTRY = 32
    _KEY_EVERY = 120

    def __init__(self, path: str | Path, frame_rate: float) -> None:
        self.path = Path(path)
        rate = Fraction(checked_frame_rate(frame_rate)).limit_denominator(1001)
        self.frame_rate, self.num_frames = rate, 0
        self._shape: tuple[int, ...] | None = None
        self._encoder: Encoder | None = None

    def write(self, frame: np.ndarray) -> None:
        """Append a frame (H, W, 3), BGR uint8.

        Raises:
            ValueError: The frame has another size than the first one.
            OSError: The file cannot be written, or the disk is nearly full; what was
                written before makes a whole video.
        """
        if self._encoder is None:
            self._encoder = Encoder(
                self.path,
                frame.shape,
                self.frame_rate,
                1 / self.frame_rate,
                self._KEY_EVERY,
            )
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
        self._encoder.write(frame, self.num_frames)
        self.num_frames += 1

    def close(self) -> None:
        """Finish the file; another frame would start it anew.

        Raises:
            OSError: It could not be written, so frames are missing in it.
        """
        encoder, self._encoder = self._encoder, None
        if encoder is not None:
            encoder.close()
