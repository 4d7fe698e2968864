from fractions import Fraction
from pathlib import Path

import numpy as np

from .encoding import Encoder

_TICK = Fraction(1, 1000)  # seconds
_RATE = Fraction(25)  # announced; each frame has its own time
_FLAGS = "frag_keyframe+empty_moov+default_base_moof"


class FragmentedVideoWriter:
    """Writes frames to an MP4 file that can be played whenever the process ends.

    The file is made of fragments of ``FRAMES`` frames, each with its own index; a kill
    loses the frames of the last one. Frames are shown at their own times, so a stream
    with gaps plays at its own speed. The first frame sets the size.

    Args:
        path: The file, replaced if it exists; its folder is created.
    """

    FRAMES = 30

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._encoder: Encoder | None = None
        self._start, self._tick = 0.0, -1

    def write(self, image: np.ndarray, time: float) -> None:
        """Append a frame.

        Args:
            image: (H, W, 3) BGR uint8, each of the same size.
            time: In seconds, from any origin. Earlier ones than the frame's before
                count as the next thousandth of a second.

        Raises:
            OSError: The file cannot be written, for example because the disk is full;
                the fragments before can be played. So does every write after it: a new
                file would replace this one.
        """
        if self._encoder is None:
            options = {"movflags": _FLAGS, "flush_packets": "1"}
            self._encoder = Encoder(
                self.path, image.shape, _RATE, _TICK, self.FRAMES, options
            )
            self._start = time
        self._tick = max(self._tick + 1, round((time - self._start) / _TICK))
        self._encoder.write(image, self._tick)

    def close(self) -> None:
        """Finish the file.

        Raises:
            OSError: See :meth:`write`.
        """
        if self._encoder is not None:
            self._encoder.close()
