from dataclasses import dataclass
from typing import TypeVar

import numpy as np

Point = tuple[float, float]
Depth = TypeVar("Depth", float, np.ndarray)

NEAR, FAR = 6.2, 13.0  # metres: people are 0.45 to 0.22 of the image's height


@dataclass(frozen=True)
class Camera:
    """A level pinhole camera above flat ground, filling ``width x height`` pixels.

    All proportions depend on the image's height, so people take up the same share of it
    at every size.
    """

    width: int
    height: int

    elevation = 2.6  # metres; looking down a little keeps people apart in the image

    @property
    def horizon(self) -> float:
        """Image row of the horizon."""
        return 0.3 * self.height

    def scale(self, depth: Depth) -> Depth:
        """Pixels per metre at a depth."""
        return 1.6 * self.height / depth

    def project(self, lateral: float, depth: float) -> Point:
        """Image point of a point on the ground."""
        scale = self.scale(depth)
        return self.width / 2 + lateral * scale, self.horizon + self.elevation * scale

    def half_view(self, depth: Depth) -> Depth:
        """Metres from the optical axis to the edge of the view at a depth."""
        return self.width / 2 / self.scale(depth)
