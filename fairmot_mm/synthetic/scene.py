import itertools

import numpy as np

from .camera import Camera
from .crowd import Crowd
from .sprite import Item
from .street import paint_street
from .street_furniture import place_street_furniture

_NOISE_SPARE = 64  # pixels by which the noise exceeds the image, to shift it in


class Scene:
    """A street with people, seen by a static camera."""

    def __init__(
        self,
        size: tuple[int, int],
        num_people: int,
        seed: int,
        street_seed: int | None = None,
    ) -> None:
        camera = Camera(*size)
        # Separate generators, so that more people do not change the houses.
        street, people, light, self._noise_rng = np.random.default_rng(seed).spawn(4)
        if street_seed is not None:
            street = np.random.default_rng(street_seed)
        identities = itertools.count(1)
        self._background = paint_street(camera, street)
        self._furniture = list(place_street_furniture(camera, street, identities))
        self.crowd = Crowd(camera, people, num_people, identities)
        # Brightness and tint, one side a little darker.
        tint = light.uniform(0.8, 1.1) * light.uniform(0.94, 1.06, 3)
        slope = np.linspace(-1, 1, camera.width)[:, None] * light.uniform(-0.12, 0.12)
        self._light = ((1 + slope) * tint).astype(np.float32)
        # Fresh noise for every frame would take longer than everything else.
        shape = camera.height + _NOISE_SPARE, camera.width + _NOISE_SPARE, 3
        strength = light.uniform(1.5, 4.0)
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
        image *= self._light
        top, left = self._noise_rng.integers(_NOISE_SPARE, size=2)
        height, width = image.shape[:2]
        image += self._noise[top : top + height, left : left + width]

        free = np.ones((height, width), np.float32)
        visibilities = [(item, item.sprite.cover(free)) for item in items]
        shown = [pair for pair in visibilities if pair[0].identity > 0]
        return np.clip(image, 0, 255).astype(np.uint8), shown
