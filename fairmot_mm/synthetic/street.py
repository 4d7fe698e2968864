from dataclasses import replace

import cv2
import numpy as np
from numpy.random import Generator

from .camera import Camera
from .canvas import Colour, hsv, shade

Pixel = tuple[int, int]  # x, y


def paint_street(camera: Camera, rng: Generator) -> np.ndarray:
    """(H, W, 3) float32 image of the empty street: sky, houses, trees, paving."""
    fine = replace(camera, width=2 * camera.width, height=2 * camera.height)
    image = _paint_paving(fine, rng)
    kerb = round(fine.project(0, camera.far + 4.0)[1])
    sky = np.array(hsv(rng.uniform(0.52, 0.62), rng.uniform(0.15, 0.5), 0.95))
    fade = np.linspace(0.9, 1.05, kerb)[:, None, None]
    image[:kerb] = np.clip(sky * fade, 0, 255)
    _paint_houses(image, kerb, rng)
    for x in rng.uniform(0, fine.width, rng.integers(2, 6)):
        _paint_tree(image, (int(x), kerb), rng)
    verge = round(fine.project(0, camera.far + 2.0)[1])
    image[kerb:verge] = hsv(rng.uniform(0.2, 0.33), 0.35, rng.uniform(0.35, 0.55))
    image = image.astype(np.float32)
    # Walls and lawns are never a single colour.
    grain = rng.normal(0, 4, image.shape[:2]).astype(np.float32)
    image += cv2.GaussianBlur(grain, (0, 0), 1.5)[..., None] * 3
    size = camera.width, camera.height
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA)


def _paint_paving(camera: Camera, rng: Generator) -> np.ndarray:
    """(H, W, 3) uint8 ground in perspective; undefined above the horizon."""
    rows = np.maximum(np.arange(camera.height) + 0.5 - camera.horizon, 1.0)[:, None]
    columns = np.arange(camera.width)[None] + 0.5 - camera.width / 2
    depth = camera.elevation * camera.scale(1.0) / rows
    lateral = columns * depth / camera.scale(1.0)
    slab = rng.uniform(0.6, 1.3)  # metres
    course = np.floor(depth / slab)
    along = lateral / slab + 0.5 * (course % 2) * rng.integers(2)  # running bond or not
    tone = rng.uniform(-1, 1, (64, 64))
    slab_tone = tone[course.astype(int) % 64, np.floor(along).astype(int) % 64]
    joint = (np.mod(along, 1) < 0.05) | (np.mod(depth / slab, 1) < 0.05)
    size = camera.width, camera.height
    spots = rng.normal(0, 0.03, (9, 16))
    stains = cv2.resize(spots, size, interpolation=cv2.INTER_CUBIC)
    factor = 1 + rng.uniform(0.02, 0.06) * slab_tone + stains
    factor *= np.where(joint, 0.86, 1)
    stone = hsv(rng.random(), rng.uniform(0.02, 0.16), rng.uniform(0.5, 0.78))
    return np.clip(factor[..., None] * stone, 0, 255).astype(np.uint8)


def _paint_houses(image: np.ndarray, base: int, rng: Generator) -> None:
    """A row of house fronts standing at row ``base``; in place."""
    left, width = 0, image.shape[1]
    while left < width:
        right = left + int(rng.uniform(0.12, 0.28) * width)
        top = int(rng.uniform(-0.2, 0.35) * base)
        hue, saturation = rng.uniform(0, 0.17), rng.uniform(0.08, 0.35)
        wall = hsv(hue, saturation, rng.uniform(0.45, 0.8))
        cv2.rectangle(image, (left, top), (right, base), wall, cv2.FILLED)
        cornice = right, top + 6
        cv2.rectangle(image, (left, top), cornice, shade(wall, 0.7), cv2.FILLED)
        _paint_windows(image, ((left, top), (right, base)), wall, rng)
        left = right


def _paint_windows(
    image: np.ndarray, front: tuple[Pixel, Pixel], wall: Colour, rng: Generator
) -> None:
    """Windows, and a shop's below, in a house front between two corners; in place."""
    (left, top), (right, base) = front
    pitch = int(base * rng.uniform(0.18, 0.26))
    pane_width, pane_height = int(pitch * rng.uniform(0.4, 0.6)), int(pitch * 0.6)
    for y in range(top + pitch // 3, base - pitch, pitch):
        for x in range(left + pitch // 3, right - pane_width, pitch):
            glass = hsv(rng.uniform(0.55, 0.65), 0.25, rng.uniform(0.2, 0.6))
            corner = x + pane_width, y + pane_height
            cv2.rectangle(image, (x, y), corner, glass, cv2.FILLED)
            cv2.rectangle(image, (x, y), corner, shade(wall, 1.25), thickness=2)
    shop = hsv(rng.random(), 0.3, rng.uniform(0.25, 0.45))
    corner = left + pitch // 4, base - pitch * 2 // 3
    cv2.rectangle(image, corner, (right - pitch // 4, base), shop, cv2.FILLED)


def _paint_tree(image: np.ndarray, foot: Pixel, rng: Generator) -> None:
    x, base = foot
    crown = int(base * rng.uniform(0.35, 0.6))
    cv2.line(image, foot, (x, base - crown), (50, 70, 85), max(2, base // 30))
    for _ in range(50):
        offset = rng.normal(0, 0.3, 2) * crown * 0.6
        centre = int(x + offset[0]), int(base - 1.3 * crown + offset[1])
        leaf = hsv(rng.uniform(0.22, 0.36), 0.5, rng.uniform(0.2, 0.5))
        cv2.circle(image, centre, max(1, crown // 6), leaf, cv2.FILLED, cv2.LINE_AA)
