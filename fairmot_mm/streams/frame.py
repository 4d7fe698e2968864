from pathlib import Path
from typing import NamedTuple

import av
import numpy as np


class Frame(NamedTuple):
    """A frame of a stream.

    Attributes:
        image: (H, W, 3) BGR uint8.
        number: Its place in the stream, from 0; frames that were passed over count.
        time: Seconds since the stream's first frame, by the stream's own timestamps.
        arrived: ``time.monotonic()`` when it was decoded.
    """

    image: np.ndarray
    number: int
    time: float
    arrived: float


class Picture(NamedTuple):
    """A frame of a stream before it becomes an image.

    Attributes:
        origin: What FFmpeg decoded; of a folder the image file.
        number: See :class:`Frame`, as the others.
        time: Seconds.
        arrived: ``time.monotonic()``.
    """

    origin: av.VideoFrame | Path
    number: int
    time: float
    arrived: float
