from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from numpy.random import Generator

from .camera import Camera
from .canvas import Canvas, hsv, shade, trapezoid
from .figure import Person, draw_figure
from .sprite import STATIC_PERSON, Item

_PLASTIC = (205, 210, 215)


def place_street_furniture(
    camera: Camera, rng: Generator, identities: Iterator[int]
) -> Iterator[Item]:
    """Objects that hide people, and in half of the scenes a mannequin."""
    chosen = rng.permutation(len(_KINDS))[: rng.integers(2, 4)]
    # Each has its own part of the image's width, so that they do not overlap.
    slots = np.linspace(-0.9, 0.9, len(chosen) + 2)
    with_mannequin = rng.random() < 0.5
    for slot, kind in zip(slots, chosen, strict=False):
        draw, extent = _KINDS[kind]
        depth = rng.uniform(camera.near + 1.8, camera.far)
        lateral = (slot + rng.uniform(0.1, 0.5)) * camera.half_view(depth)
        foot, scale = camera.project(lateral, depth), camera.scale(depth)
        canvas = Canvas(foot, scale, extent)
        draw(canvas, rng)
        yield Item(canvas.sprite(), depth, foot, 0.7 * scale)
    if with_mannequin:
        depth = rng.uniform(0.7 * camera.far, camera.far)
        lateral = rng.uniform(-0.85, 0.85) * camera.half_view(depth)
        foot, scale = camera.project(lateral, depth), camera.scale(depth)
        person = Person.sample(rng, rng.random())
        mannequin = replace(person, skin=_PLASTIC, hair=_PLASTIC)
        sprite = draw_figure(mannequin, foot, 1.75 * scale, None, facing=-1)
        yield Item(sprite, depth, foot, 0.5 * scale, next(identities), STATIC_PERSON)


def _lamp_post(canvas: Canvas, rng: Generator) -> None:
    metal = hsv(rng.random(), 0.25, rng.uniform(0.15, 0.35))
    canvas.line([(0, 0.08), (0, 4.0)], 0.14, metal)
    canvas.line([(0, 0.08), (0, 0.6)], 0.24, metal)
    canvas.ellipse((0, 4.0), (0.26, 0.26), (205, 235, 245))


def _advertising_column(canvas: Canvas, rng: Generator) -> None:
    body = hsv(rng.random(), 0.3, rng.uniform(0.3, 0.5))
    canvas.polygon(trapezoid((0.5, 2.4), (0.5, 0.04)), body, rounding=0.06)
    poster = hsv(rng.random(), 0.25, 0.85)
    canvas.polygon(trapezoid((0.4, 2.1), (0.4, 0.7)), poster)
    for up in (1.0, 1.2, 1.75):
        canvas.line([(-0.27, up), (0.27, up)], 0.09, shade(body, 0.8))
    canvas.ellipse((0, 2.4), (0.65, 0.35), shade(body, 0.6), arc=(0, 180))


def _planter(canvas: Canvas, rng: Generator) -> None:
    for _ in range(40):
        centre = rng.uniform(-0.6, 0.6), rng.uniform(0.5, 1.0)
        leaf = hsv(rng.uniform(0.24, 0.36), 0.55, rng.uniform(0.2, 0.5))
        canvas.ellipse(centre, (0.2, 0.17), leaf)
    stone = hsv(rng.uniform(0.0, 0.15), 0.2, rng.uniform(0.4, 0.6))
    canvas.polygon(trapezoid((0.75, 0.55), (0.65, 0.04)), stone, rounding=0.06)


def _bench(canvas: Canvas, rng: Generator) -> None:
    wood = hsv(rng.uniform(0.05, 0.1), 0.6, rng.uniform(0.35, 0.6))
    for across in (-0.8, 0.8):
        canvas.line([(across, 0.05), (across, 0.85)], 0.09, (45, 45, 45))
    for up, tone in ((0.45, 0.85), (0.65, 1.0), (0.82, 1.1)):
        canvas.line([(-0.95, up), (0.95, up)], 0.13, shade(wood, tone))


# What draws it, and on how large a canvas: half its width, and its height in metres.
_KINDS = (
    (_lamp_post, (0.6, 4.4)),
    (_advertising_column, (0.9, 2.9)),
    (_planter, (1.2, 1.6)),
    (_bench, (1.2, 1.1)),
)
