"""What all drawings share: colours, and boxes in whole pixels."""

import colorsys

import cv2
import numpy as np

Colour = tuple[int, int, int]  # BGR

BLACK, GREY, WHITE, RED = (0, 0, 0), (128, 128, 128), (255, 255, 255), (0, 0, 255)

# OpenCV takes coordinates as 32-bit integers, some of them shifted by 16 bits.
_FARTHEST = 1_000_000

_FONT = cv2.FONT_HERSHEY_SIMPLEX
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


def put_text(
    image: np.ndarray, text: str, anchor: tuple[int, int], background: Colour
) -> None:
    """Write on a filled strip above the anchor, or as near as the image allows."""
    height, width = image.shape[:2]
    scale = max(0.35, min(height, width) / 1000)
    thickness = max(1, round(1.5 * scale))
    (text_width, text_height), descent = cv2.getTextSize(text, _FONT, scale, thickness)
    strip_width, strip_height = text_width + 4, text_height + descent + 2
    left = max(0, min(int(anchor[0]), width - strip_width))
    top = max(0, min(int(anchor[1]) - strip_height, height - strip_height))
    corner = left + strip_width, top + strip_height
    cv2.rectangle(image, (left, top), corner, background, cv2.FILLED)
    luminance = np.dot(background, (0.114, 0.587, 0.299))
    ink = BLACK if luminance > 127 else WHITE
    origin = left + 2, top + text_height + 1
    cv2.putText(image, text, origin, _FONT, scale, ink, thickness, cv2.LINE_AA)


def draw_box(image: np.ndarray, box: np.ndarray, colour: Colour, text: str) -> None:
    """Draw a box (4,) xyxy, one pixel wide, with a text above it if there is one."""
    x1, y1, x2, y2 = whole_pixels(box).tolist()
    cv2.rectangle(image, (x1, y1), (x2, y2), colour, 1)
    if text:
        put_text(image, text, (x1, y1), colour)
