from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from .colour import Colour, hsv


@dataclass(frozen=True)
class Person:
    """Body and clothes of a person; lengths in body heights."""

    skin: Colour
    hair: Colour
    top: Colour
    accent: Colour
    bottom: Colour
    shoes: Colour
    pattern: str  # plain, hoops, stripes, block
    cut: str  # trousers, shorts, skirt, coat
    headwear: str  # none, cap, brim
    luggage: str  # none, backpack, handbag
    long_hair: bool
    long_sleeves: bool
    half_shoulder: float

    @classmethod
    def sample(cls, rng: np.random.Generator, hue: float) -> Person:
        """A random person in clothes around a hue (in turns)."""
        skin_value = rng.uniform(0.4, 0.95)
        # Differs from the top in hue or lightness, or the figure would be one blob.
        bottom_hue = hue + rng.uniform(0.25, 0.75)
        return cls(
            skin=hsv(rng.uniform(0.04, 0.09), rng.uniform(0.3, 0.55), skin_value),
            hair=hsv(rng.uniform(0.03, 0.13), rng.uniform(0.2, 0.7), rng.random() / 2),
            top=_fabric(rng, hue, (0.5, 1.0)),
            accent=_fabric(rng, hue + rng.uniform(0.3, 0.7), (0.6, 1.0)),
            bottom=_fabric(rng, bottom_hue, (0.15, 0.75)),
            shoes=hsv(rng.random(), rng.uniform(0, 0.6), rng.uniform(0.05, 0.9)),
            pattern=rng.choice(["plain", "plain", "hoops", "stripes", "block"]),
            cut=rng.choice(["trousers", "trousers", "shorts", "skirt", "coat"]),
            headwear=rng.choice(["none", "none", "cap", "brim"]),
            luggage=rng.choice(["none", "none", "backpack", "handbag"]),
            long_hair=bool(rng.random() < 0.4),
            long_sleeves=bool(rng.random() < 0.6),
            half_shoulder=rng.uniform(0.075, 0.1),
        )

    def as_mannequin(self) -> Person:
        """The same clothes on pale plastic."""
        plastic = (205, 210, 215)
        return replace(self, skin=plastic, hair=plastic)


def _fabric(
    rng: np.random.Generator, hue: float, value_range: tuple[float, float]
) -> Colour:
    if rng.random() < 0.15:
        return hsv(0, 0, rng.choice([0.08, 0.97]))  # grey would match the paving
    return hsv(hue, rng.uniform(0.55, 1.0), rng.uniform(*value_range))
