import colorsys
import math
from collections.abc import Sequence

import cv2
import numpy as np

from .camera import Point
from .sprite import Sprite

Points = Sequence[Point] | np.ndarray
Colour = tuple[int, int, int]  # BGR

_SUPERSAMPLE = 4
_FRACTION_BITS = 4  # of the fixed-point coordinates that OpenCV draws at


class Canvas:
    """Draws one object that stands on the ground, anti-aliased by supersampling.

    Coordinates are (across, up) from the object's foot in units of its own: ``scale``
    pixels each. The drawing stays within ``extent``, half its width and its height.
    ``facing`` -1 mirrors it.
    """

    def __init__(
        self, foot: Point, scale: float, extent: Point, facing: int = 1
    ) -> None:
        half_width, height = extent
        self._scale, self._facing = scale, facing
        self._left = math.floor(foot[0] - half_width * scale)
        self._top = math.floor(foot[1] - height * scale)
        self._foot = foot[0] - self._left, foot[1] - self._top
        columns = math.ceil(self._foot[0] + half_width * scale) + 1
        rows = math.ceil(self._foot[1] + 0.05 * height * scale) + 1
        shape = rows * _SUPERSAMPLE, columns * _SUPERSAMPLE, 4
        self._layer = np.zeros(shape, np.uint8)

    def line(self, points: Points, width: float, colour: Colour) -> None:
        """Draw a line with round ends and joints."""
        pixels, bgra = [self._pixels(points)], (*colour, 255)
        thickness = max(1, round(width * self._scale * _SUPERSAMPLE))
        cv2.polylines(self._layer, pixels, False, bgra, thickness, shift=_FRACTION_BITS)

    def polygon(self, points: Points, colour: Colour, rounding: float = 0) -> None:
        """Fill a polygon, its outline widened by half of ``rounding``."""
        pixels, bgra = [self._pixels(points)], (*colour, 255)
        cv2.fillPoly(self._layer, pixels, bgra, shift=_FRACTION_BITS)
        if rounding:
            self.line([*points, points[0]], rounding, colour)

    def ellipse(
        self, centre: Point, radii: Point, colour: Colour, arc: Point = (0, 360)
    ) -> None:
        """Fill an ellipse, or the segment between two angles (degrees, upwards)."""
        angles = np.radians(np.linspace(*arc, 33))
        points = np.stack((np.cos(angles), np.sin(angles)), axis=1) * radii + centre
        self.polygon(points, colour)

    def sprite(self) -> Sprite:
        """What has been drawn so far, at the image's resolution."""
        rows, columns = (side // _SUPERSAMPLE for side in self._layer.shape[:2])
        # The empty layer is black, so the mean over a pixel is premultiplied already.
        layer = cv2.resize(self._layer, (columns, rows), interpolation=cv2.INTER_AREA)
        layer = layer.astype(np.float32)
        colour, alpha = layer[..., :3], layer[..., 3] / 255
        x, y, width, height = cv2.boundingRect(self._layer[..., 3])
        left, top = self._left + x / _SUPERSAMPLE, self._top + y / _SUPERSAMPLE
        box = (left, top, left + width / _SUPERSAMPLE, top + height / _SUPERSAMPLE)
        return Sprite(colour, alpha, self._left, self._top, box)

    def _pixels(self, points: Points) -> np.ndarray:
        """Fixed-point positions in the supersampled layer."""
        across, up = np.asarray(points, np.float64).T * self._scale
        position = np.stack((self._foot[0] + self._facing * across, self._foot[1] - up))
        # OpenCV's pixel centres are whole numbers.
        fine = position.T * _SUPERSAMPLE - 0.5
        return np.rint(fine * (1 << _FRACTION_BITS)).astype(np.int32)


def trapezoid(upper: Point, lower: Point) -> list[Point]:
    """Corners, clockwise from upper left, of two (half width, up) edges."""
    (x1, top), (x2, bottom) = upper, lower
    return [(-x1, top), (x1, top), (x2, bottom), (-x2, bottom)]


def hsv(hue: float, saturation: float, value: float) -> Colour:
    """BGR colour of a hue (in turns), saturation and value (0 to 1)."""
    red, green, blue = colorsys.hsv_to_rgb(hue % 1.0, saturation, value)
    return round(255 * blue), round(255 * green), round(255 * red)


def shade(colour: Colour, factor: float) -> Colour:
    """A darker (factor below 1) or lighter colour."""
    blue, green, red = (min(255, round(channel * factor)) for channel in colour)
    return blue, green, red
