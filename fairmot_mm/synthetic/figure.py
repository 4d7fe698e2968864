import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.random import Generator

from .camera import Point
from .canvas import Canvas, Colour, hsv, shade, trapezoid
from .sprite import Sprite

_BANDS = [(start, start + 0.15) for start in np.arange(0.1, 1.0, 0.3)]
# Spans across and down a shirt, each from 0 to 1, in the accent colour.
_PATTERNS = {
    "plain": [],
    "block": [((-0.1, 1.1), (0.5, 1.05))],
    "hoops": [((-0.1, 1.1), band) for band in _BANDS],
    "stripes": [(band, (-0.05, 1.05)) for band in _BANDS],
}


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
    def sample(cls, rng: Generator, hue: float) -> Self:
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


def _fabric(rng: Generator, hue: float, values: tuple[float, float]) -> Colour:
    if rng.random() < 0.15:
        return hsv(0, 0, rng.choice([0.08, 0.97]))  # grey would match the paving
    return hsv(hue, rng.uniform(0.55, 1.0), rng.uniform(*values))


def draw_figure(
    person: Person, foot: Point, height: float, phase: float | None, facing: int
) -> Sprite:
    """Draw a person seen from the side, whose feet are on either side of ``foot``.

    ``height`` is in pixels, the gait's ``phase`` in radians: a cycle is two steps, None
    stands. ``facing`` 1 walks to the right, -1 to the left.
    """
    swing, bend = (math.sin(phase), math.cos(phase)) if phase is not None else (0, 0)
    canvas = Canvas(foot, height, (0.45, 1.08), facing)
    near, far = _leg(swing, bend), _leg(-swing, -bend)
    # The hip sinks as the legs spread, so that the lower foot stays on the ground.
    hip = 0.035 - min(near[-1][1], far[-1][1])

    _draw_arm(canvas, person, hip, 0.8 * swing, dim=0.7)
    for leg, dim in ((far, 0.7), (near, 1.0)):
        _draw_leg(canvas, person, [(across, up + hip) for across, up in leg], dim)
    _draw_torso(canvas, person, hip, swing)
    _draw_head(canvas, person, hip + 0.41)
    _draw_arm(canvas, person, hip, -0.8 * swing, dim=0.88)
    return canvas.sprite()


def _leg(swing: float, bend: float) -> list[Point]:
    """Hip, knee and ankle, the hip at height 0."""
    # Short steps, as motion models assume that the shape of a box changes little, which
    # holds for annotated people in street scenes.
    thigh = 0.24 * swing
    # The knee bends while the leg comes forward.
    shin = thigh - 0.08 - 0.35 * max(0.0, bend)
    return _limb((0.0, 0.0), (thigh, shin), (0.24, 0.22))


def _limb(start: Point, angles: Point, lengths: Point) -> list[Point]:
    """Three joints of a limb hanging from ``start``; angles forward, in radians."""
    joints = [start]
    for angle, length in zip(angles, lengths, strict=True):
        across, up = joints[-1]
        across, up = across + length * math.sin(angle), up - length * math.cos(angle)
        joints.append((across, up))
    return joints


def _draw_leg(canvas: Canvas, person: Person, joints: list[Point], dim: float) -> None:
    hip, knee, ankle = joints
    trousers = shade(person.bottom, dim)
    canvas.line(joints, 0.06, shade(person.skin, dim))
    canvas.line([hip, knee], 0.09, trousers)
    if person.cut in ("trousers", "coat"):
        canvas.line([knee, ankle], 0.072, trousers)
    across, sole = ankle[0], ankle[1] - 0.008
    canvas.line([(across - 0.01, sole), (across + 0.075, sole)], 0.05, person.shoes)


def _draw_arm(
    canvas: Canvas, person: Person, hip: float, swing: float, dim: float
) -> None:
    shoulder = 0.0, hip + 0.29
    angles = 0.3 * swing, 0.3 * swing + 0.25
    arm = _limb(shoulder, angles, (0.16, 0.15))
    sleeve = _limb(shoulder, angles, (0.16, 0.12)) if person.long_sleeves else arm[:2]
    canvas.line(arm, 0.045, shade(person.skin, dim))
    canvas.line(sleeve, 0.058, shade(person.top, dim))
    if person.luggage == "handbag" and dim > 0.8:
        bag = np.add(trapezoid((0.06, -0.02), (0.075, -0.13)), arm[-1])
        canvas.polygon(bag, person.accent, rounding=0.02)


def _draw_torso(canvas: Canvas, person: Person, hip: float, swing: float) -> None:
    shoulder, waist = person.half_shoulder, 0.85 * person.half_shoulder
    if person.luggage == "backpack":
        back, top, bottom = -shoulder - 0.05, hip + 0.27, hip + 0.06
        pack = [(back, top), (0, top), (0, bottom), (back, bottom)]
        canvas.polygon(pack, person.accent, rounding=0.05)
    flare = 0.05 + 0.04 * abs(swing)
    if person.cut == "skirt":
        skirt = trapezoid((waist, hip), (waist + flare, hip - 0.2))
        canvas.polygon(skirt, person.bottom, rounding=0.02)
    elif person.cut == "coat":
        tails = trapezoid((waist, hip), (waist + 0.5 * flare, hip - 0.16))
        canvas.polygon(tails, person.top, rounding=0.03)
    torso = trapezoid((shoulder, hip + 0.3), (waist, hip))
    canvas.polygon(torso, person.top, rounding=0.03)
    for across, down in _PATTERNS[person.pattern]:
        canvas.polygon(_part_of(torso, across, down), person.accent)


def _part_of(quad: Sequence[Point], across: Point, down: Point) -> np.ndarray:
    """The part of a quad (clockwise from upper left) between relative positions."""
    upper_left, upper_right, lower_right, lower_left = np.asarray(quad)
    (left, right), (top, bottom) = across, down
    u = np.array([left, right, right, left])[:, None]
    v = np.array([top, top, bottom, bottom])[:, None]
    upper = upper_left + u * (upper_right - upper_left)
    lower = lower_left + u * (lower_right - lower_left)
    return upper + v * (lower - upper)


def _draw_head(canvas: Canvas, person: Person, up: float) -> None:
    canvas.line([(0.0, up - 0.1), (0.005, up)], 0.055, shade(person.skin, 0.85))
    if person.long_hair:
        canvas.line([(-0.035, up + 0.02), (-0.05, up - 0.1)], 0.06, person.hair)
    canvas.ellipse((-0.008, up + 0.012), (0.063, 0.073), person.hair)
    canvas.ellipse((0.014, up - 0.006), (0.05, 0.064), person.skin)
    if person.headwear != "none":
        canvas.ellipse((0.0, up + 0.03), (0.068, 0.065), person.accent, arc=(0, 180))
        back = -0.12 if person.headwear == "brim" else 0.0
        canvas.line([(back, up + 0.032), (0.11, up + 0.032)], 0.018, person.accent)
