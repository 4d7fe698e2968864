from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from .camera import FAR, Camera, Point
from .canvas import Canvas, hsv, shade, trapezoid
from .figure import Person, draw_figure
from .sprite import STATIC_PERSON, Item, Sprite


def place_street_furniture(
    camera: Camera, rng: np.random.Generator, identities: Iterator[int]
) -> Iterator[Item]:
    """Objects that hide people, and in half of the scenes a mannequin."""
    kinds = (_draw_lamp_post, _draw_advertising_column, _draw_planter, _draw_bench)
    chosen = rng.permutation(len(kinds))[: rng.integers(2, 4)]
    # Each has its own part of the image's width, so that they do not overlap.
    slots = np.linspace(-0.9, 0.9, len(chosen) + 2)
    with_mannequin = rng.random() < 0.5
    for slot, kind in zip(slots, chosen, strict=False):
        depth = rng.uniform(8.0, 13.0)
        lateral = (slot + rng.uniform(0.1, 0.5)) * camera.half_view(depth)
        foot, scale = camera.project(lateral, depth), camera.scale(depth)
        yield Item(kinds[kind](foot, scale, rng), depth, foot, 0.7 * scale)
    if with_mannequin:
        depth = rng.uniform(0.7 * FAR, FAR)
        lateral = rng.uniform(-0.85, 0.85) * camera.half_view(depth)
        foot, scale = camera.project(lateral, depth), camera.scale(depth)
        person = Person.sample(rng, rng.random()).as_mannequin()
        sprite = draw_figure(person, foot, 1.75 * scale, None, facing=-1)
        yield Item(sprite, depth, foot, 0.5 * scale, next(identities), STATIC_PERSON)


def _draw_lamp_post(foot: Point, scale: float, rng: np.random.Generator) -> Sprite:
    canvas = Canvas(foot, scale, half_width=0.6, height=4.4)
    metal = hsv(rng.random(), 0.25, rng.uniform(0.15, 0.35))
    canvas.line([(0, 0.08), (0, 4.0)], 0.14, metal)
    canvas.line([(0, 0.08), (0, 0.6)], 0.24, metal)
    canvas.ellipse((0, 4.0), (0.26, 0.26), (205, 235, 245))
    return canvas.sprite()


def _draw_advertising_column(
    foot: Point, scale: float, rng: np.random.Generator
) -> Sprite:
    canvas = Canvas(foot, scale, half_width=0.9, height=2.9)
    body = hsv(rng.random(), 0.3, rng.uniform(0.3, 0.5))
    canvas.polygon(trapezoid((0.5, 2.4), (0.5, 0.04)), body, rounding=0.06)
    poster = hsv(rng.random(), 0.25, 0.85)
    canvas.polygon(trapezoid((0.4, 2.1), (0.4, 0.7)), poster)
    for up in (1.0, 1.2, 1.75):
        canvas.line([(-0.27, up), (0.27, up)], 0.09, shade(body, 0.8))
    canvas.ellipse((0, 2.4), (0.65, 0.35), shade(body, 0.6), arc=(0, 180))
    return canvas.sprite()


def _draw_planter(foot: Point, scale: float, rng: np.random.Generator) -> Sprite:
    canvas = Canvas(foot, scale, half_width=1.2, height=1.6)
    for _ in range(40):
        centre = rng.uniform(-0.6, 0.6), rng.uniform(0.5, 1.0)
        leaf = hsv(rng.uniform(0.24, 0.36), 0.55, rng.uniform(0.2, 0.5))
        canvas.ellipse(centre, (0.2, 0.17), leaf)
    stone = hsv(rng.uniform(0.0, 0.15), 0.2, rng.uniform(0.4, 0.6))
    canvas.polygon(trapezoid((0.75, 0.55), (0.65, 0.04)), stone, rounding=0.06)
    return canvas.sprite()


def _draw_bench(foot: Point, scale: float, rng: np.random.Generator) -> Sprite:
    canvas = Canvas(foot, scale, half_width=1.2, height=1.1)
    wood = hsv(rng.uniform(0.05, 0.1), 0.6, rng.uniform(0.35, 0.6))
    for across in (-0.8, 0.8):
        canvas.line([(across, 0.05), (across, 0.85)], 0.09, (45, 45, 45))
    for up, tone in ((0.45, 0.85), (0.65, 1.0), (0.82, 1.1)):
        canvas.line([(-0.95, up), (0.95, up)], 0.13, shade(wood, tone))
    return canvas.sprite()
