from pathlib import Path

import cv2
import numpy as np
from numpy.random import Generator

from fairmot_mm.formats.images import read_image
from fairmot_mm.formats.mot import (
    DISTRACTORS,
    NO_CLASS,
    PEDESTRIAN,
    read_gt,
    read_sequence,
)

_OTHERS = 12  # frames of which the median is taken
_PEOPLE = (NO_CLASS, PEDESTRIAN, *DISTRACTORS)
_MARGIN = 0.15  # shadows and bags, as a share of the box


def cut_background(folder: Path, size: tuple[int, int], rng: Generator) -> np.ndarray:
    """A part of a MOTChallenge sequence without its people, perhaps mirrored.

    Of one frame, the pixels of annotated people are replaced by the median of other
    frames where nobody stands there; by what surrounds them (Telea, 2004) where always
    somebody does. So people who are not annotated stay, and behind a moving camera the
    filled pixels are blurred.

    Args:
        folder: Of the sequence, with its ground truth.
        size: Width and height of the background in pixels.
        rng: Chooses the frame and the part, three fifths to all of its height.

    Returns:
        (height, width, 3) uint8 BGR.

    Raises:
        FileNotFoundError: The folder has no ground truth.
    """
    sequence = read_sequence(folder)
    truth = read_gt(sequence)
    truth = truth.select(np.isin(truth.classes, _PEOPLE))
    count = min(sequence.length, _OTHERS + 1)
    frames = 1 + rng.choice(sequence.length, count, replace=False)
    images, people = [], []
    for frame in frames.tolist():
        image = read_image(sequence.image_path(frame))
        images.append(image)
        people.append(_covered(image, truth.boxes[truth.frames == frame]))
    image, hidden = images[0], people[0]
    others = np.stack([x[hidden] for x in images]).astype(np.float32)
    others[np.stack([x[hidden] for x in people])] = np.nan
    always = np.isnan(others).all(axis=(0, 2))
    others[:, always] = 0
    image[hidden] = np.nanmedian(others, axis=0)
    hidden[hidden] = always
    image = cv2.inpaint(image, hidden.astype(np.uint8), 5, cv2.INPAINT_TELEA)
    return _random_part(image, size, rng)


def _covered(image: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """Mask (H, W) of the pixels of boxes (n, 4), x, y, w, h, with a margin."""
    mask = np.zeros(image.shape[:2], bool)
    for left, top, width, height in boxes:
        dx, dy = _MARGIN * width, _MARGIN * height
        rows = slice(max(0, int(top - dy)), max(0, int(top + height + dy) + 1))
        columns = slice(max(0, int(left - dx)), max(0, int(left + width + dx) + 1))
        mask[rows, columns] = True
    return mask


def _random_part(
    image: np.ndarray, size: tuple[int, int], rng: Generator
) -> np.ndarray:
    """A part of the image in the proportions of ``size``, resized to it."""
    height, width = image.shape[:2]
    largest = min(width / size[0], height / size[1])
    part = np.array(size) * largest * rng.uniform(0.6, 1.0)
    left, top = (rng.random(2) * (np.array((width, height)) - part)).astype(int)
    columns, rows = np.maximum(part.astype(int), 1)
    cut = image[top : top + rows, left : left + columns]
    cut = cv2.resize(cut, size, interpolation=cv2.INTER_AREA)
    return cut[:, ::-1] if rng.random() < 0.5 else cut
