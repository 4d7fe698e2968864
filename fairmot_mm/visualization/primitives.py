"""What all drawings share: colours, and boxes in whole pixels."""

import colorsys

import numpy as np

Colour = tuple[int, int, int]  # BGR

BLACK, GREY, WHITE, RED = (0, 0, 0), (128, 128, 128), (255, 255, 255), (0, 0, 255)

# OpenCV takes coordinates as 32-bit integers, some of them shifted by 16 bits.
_FARTHEST = 1_000_000

_GOLDEN_RATIO = 0.618033988749895


def identity_colour(identity: int) -> Colour:
    """BGR colour of an identity: always the same, and far from its neighbours'."""
    hue = identity * _GOLDEN_RATIO % 1.0
    # Hues nearly repeat after some identities; saturation and value then differ.
    saturation, value = (0.95, 0.7, 0.85)[identity % 3], (1.0, 0.8)[identity % 2]
    red, green, blue = colorsys.hsv_to_rgb(hue, saturation, value)
    return round(255 * blue), round(255 * green), round(255 * red)


def whole_pixels(boxes: np.ndarray) -> np.ndarray:
    """Finite coordinates as integers that OpenCV takes, far outside ones clipped."""
    return np.rint(boxes).clip(-_FARTHEST, _FARTHEST).astype(int)
