from collections.abc import Callable
from typing import NamedTuple

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


class DecodedFrame(NamedTuple):
    """A frame whose pixels are not yet converted, which takes as long as decoding.

    Attributes:
        image: Makes the image of :class:`Frame`.
    """

    image: Callable[[], np.ndarray]
    number: int
    time: float
    arrived: float

    def converted(self) -> Frame:
        """The frame with its pixels."""
        return Frame(self.image(), self.number, self.time, self.arrived)
