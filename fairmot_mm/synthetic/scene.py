import itertools
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from .background import cut_background
from .camera import Camera
from .crowd import Crowd
from .sprite import Item
from .street import paint_street
from .street_furniture import place_street_furniture

_NOISE_SPARE = 64  # pixels by which the noise exceeds the image, to shift it in


class Scene:
    """A street with people, seen by a static camera.

    Args:
        size: Width and height of the images in pixels.
        num_people: Number of people in or just entering the view at any time.
        seed: Of everything that is drawn.
        street_seed: Show the street of this seed; that of ``seed`` if None.
        backgrounds: MOTChallenge sequences, one of which is shown instead of a
            painted street, see :func:`cut_background`.
        varied: Draw the camera, half to twice as many people, blur and up to four times
            the noise.
    """

    def __init__(
        self,
        size: tuple[int, int],
        num_people: int,
        seed: int,
        street_seed: int | None = None,
        backgrounds: Sequence[Path] = (),
        varied: bool = False,
    ) -> None:
        # Separate generators, so that more people do not change the houses.
        rngs = np.random.default_rng(seed).spawn(6)
        street, people, light, self._noise_rng, view, place = rngs
        camera, noise, self._blur = Camera(*size), 1.0, 0.0
        if varied:
            camera = Camera.sample(*size, view)
            num_people = max(1, round(num_people * 2 ** view.uniform(-1, 1)))
            noise = view.uniform(1, 4)
            # Of pixels; half of the cameras are sharp.
            self._blur = max(0.0, view.uniform(-1.2, 1.2))
        if street_seed is not None:
            street = np.random.default_rng(street_seed)
        identities = itertools.count(1)
        self._background = paint_street(camera, street)
        if backgrounds:
            # Instead of the street, whose painting decides where the furniture stands:
            # the annotations are the same before either.
            chosen = backgrounds[int(place.integers(len(backgrounds)))]
            self._background = cut_background(chosen, size, place).astype(np.float32)
        self._furniture = list(place_street_furniture(camera, street, identities))
        self.crowd = Crowd(camera, people, num_people, identities)
        # Brightness and tint, one side a little darker.
        tint = light.uniform(0.8, 1.1) * light.uniform(0.94, 1.06, 3)
        slope = np.linspace(-1, 1, camera.width)[:, None] * light.uniform(-0.12, 0.12)
        self._light = ((1 + slope) * tint).astype(np.float32)
        # Fresh noise for every frame would take longer than everything else.
        shape = camera.height + _NOISE_SPARE, camera.width + _NOISE_SPARE, 3
        strength = noise * light.uniform(1.5, 4.0)
        self._noise = strength * self._noise_rng.standard_normal(shape, np.float32)

    def render(self) -> tuple[np.ndarray, list[tuple[Item, float]]]:
        """Render this moment.

        Returns:
            The (H, W, 3) uint8 BGR image, and every item with an identity together
            with the share of it that the image shows.
        """
        items = [*self._furniture, *(walker.draw() for walker in self.crowd.walkers)]
        items.sort(key=lambda item: item.depth)
        image = self._background.copy()
        for item in items:
            item.cast_shadow(image)
        for item in reversed(items):
            item.sprite.paste(image)
        if self._blur:
            image = cv2.GaussianBlur(image, (0, 0), self._blur)
        image *= self._light
        top, left = self._noise_rng.integers(_NOISE_SPARE, size=2)
        height, width = image.shape[:2]
        image += self._noise[top : top + height, left : left + width]

        free = np.ones((height, width), np.float32)
        visibilities = [(item, item.sprite.cover(free)) for item in items]
        shown = [pair for pair in visibilities if pair[0].identity > 0]
        return np.clip(image, 0, 255).astype(np.uint8), shown
