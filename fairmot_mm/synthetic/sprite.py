from dataclasses import dataclass

import numpy as np

from .camera import Point

PEDESTRIAN = 1  # MOT17's classes
STATIC_PERSON, DISTRACTOR = 7, 8


@dataclass(frozen=True)
class Sprite:
    """A drawn object and where it lies in the image.

    Attributes:
        colour: (h, w, 3) float32, already multiplied with ``alpha``.
        alpha: (h, w) float32 coverage of the pixels, 0 to 1.
        left: Image column of the sprite's first column; may be negative.
        top: Image row of the sprite's first row; may be negative.
        box: Tight x1, y1, x2, y2 in pixels.
    """

    colour: np.ndarray
    alpha: np.ndarray
    left: int
    top: int
    box: tuple[float, float, float, float]

    def paste(self, image: np.ndarray) -> None:
        """Draw onto an (H, W, 3) float32 image in place."""
        inside, own = self._overlap(image)
        image[inside] *= 1 - self.alpha[own][..., None]
        image[inside] += self.colour[own]

    def cover(self, free: np.ndarray) -> float:
        """Remove the sprite's pixels from those that nearer objects leave free.

        Args:
            free: (H, W) float32, 1 where nothing nearer stands; changed in place.

        Returns:
            Share of the sprite, the part outside the image included, that shows.
        """
        inside, own = self._overlap(free)
        alpha = self.alpha[own]
        visible = float((alpha * free[inside]).sum() / self.alpha.sum())
        free[inside] *= 1 - alpha
        return visible

    def _overlap(self, image: np.ndarray) -> tuple[tuple, tuple]:
        """Slices of ``image`` and of the sprite where the two overlap."""
        (height, width), (rows, columns) = image.shape[:2], self.alpha.shape
        x, y = self.left, self.top
        left, right = np.clip((x, x + columns), 0, width)
        top, bottom = np.clip((y, y + rows), 0, height)
        own = np.s_[top - y : bottom - y, left - x : right - x]
        return np.s_[top:bottom, left:right], own


@dataclass(frozen=True)
class Item:
    """An object on the ground in one frame; annotated if it has an identity, from 1."""

    sprite: Sprite
    depth: float
    foot: Point
    shadow: float  # radius in pixels
    identity: int = 0
    category: int = PEDESTRIAN

    def cast_shadow(self, image: np.ndarray) -> None:
        """Darken the ground around the foot, softly; in place."""
        (x, y), radius = self.foot, self.shadow
        flat = 0.25 * radius
        reach_x, reach_y = 1.5 * radius, 1.5 * flat
        height, width = image.shape[:2]
        left, right = np.clip((int(x - reach_x), int(x + reach_x) + 1), 0, width)
        top, bottom = np.clip((int(y - reach_y), int(y + reach_y) + 1), 0, height)
        across = (np.arange(left, right, dtype=np.float32) - x) / radius
        down = (np.arange(top, bottom, dtype=np.float32) - y) / flat
        shadow = np.exp(-2 * (across**2 + down[:, None] ** 2))
        image[top:bottom, left:right] *= 1 - 0.5 * shadow[..., None]
