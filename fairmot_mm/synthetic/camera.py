from dataclasses import dataclass
from typing import Self, TypeVar

import numpy as np
from numpy.random import Generator

Point = tuple[float, float]
Depth = TypeVar("Depth", float, np.ndarray)


@dataclass(frozen=True)
class Camera:
    """A level pinhole camera above flat ground, filling ``width x height`` pixels.

    All proportions depend on the image's height, so people take up the same share of it
    at every size. The defaults look down a little, which keeps people apart in the
    image, and show them as 0.45 to 0.22 of its height.

    Attributes:
        width: Of the image in pixels.
        height: Of the image in pixels.
        elevation: Height above the ground in metres.
        horizon_share: Row of the horizon, as a share of the image's height.
        focal: Focal length as a share of the image's height.
        near: Metres to the nearest people.
        far: Metres to the farthest people.
    """

    width: int
    height: int
    elevation: float = 2.6
    horizon_share: float = 0.3
    focal: float = 1.6
    near: float = 6.2
    far: float = 13.0

    @classmethod
    def sample(cls, width: int, height: int, rng: Generator) -> Self:
        """Draw a camera: from a head's height to a lamp post's, near or far away."""
        horizon, focal = rng.uniform(0.1, 0.45), rng.uniform(1.2, 2.4)
        tallest, feet = rng.uniform(0.35, 0.9), rng.uniform(0.85, 1.15)
        near = focal * 1.75 / tallest  # metres; the nearest are so tall in the image
        elevation = (feet - horizon) * near / focal  # and their feet are so far down
        far = near * rng.uniform(1.8, 4.0)
        return cls(width, height, elevation, horizon, focal, near, far)

    @property
    def horizon(self) -> float:
        """Image row of the horizon."""
        return self.horizon_share * self.height

    def scale(self, depth: Depth) -> Depth:
        """Pixels per metre at a depth."""
        return self.focal * self.height / depth

    def project(self, lateral: float, depth: float) -> Point:
        """Image point of a point on the ground."""
        scale = self.scale(depth)
        return self.width / 2 + lateral * scale, self.horizon + self.elevation * scale

    def half_view(self, depth: Depth) -> Depth:
        """Metres from the optical axis to the edge of the view at a depth."""
        return self.width / 2 / self.scale(depth)
