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
