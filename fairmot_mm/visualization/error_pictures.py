"""Pictures of single tracking errors, cut out of the frames."""

import base64
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from fairmot_mm.formats.boxes import xywh_to_xyxy
from fairmot_mm.formats.images import read_image

from .primitives import WHITE, identity_colour, put_text, whole_pixels

_SIDE = 150  # pixels of a picture
_QUALITY = 40  # of WebP
_SURROUNDINGS = 2.2  # side of the region by the greater side of the box
_SMALLEST_REGION = 64


@dataclass(frozen=True)
class Cutout:
    """What a picture shows.

    Attributes:
        frame: From 1.
        box: (4,) x, y, w, h around which it is cut out.
        true_box: Whether the box is of the ground truth, drawn in white.
        track: The track it is about, drawn wider than others; -1 for none.
    """

    frame: int
    box: np.ndarray
    true_box: bool
    track: int


def cut_out(
    cutouts: Sequence[Cutout], paths: dict[int, Path], results: np.ndarray
) -> list[str]:
    """Cut pictures out of the frames of a sequence and draw the boxes.

    Args:
        cutouts: What to show.
        paths: Images of the frames.
        results: (N, 7) frame, identity, x, y, w, h, score, sorted by frame.

    Returns:
        Base64 of WebP images, in the order of the cutouts.

    Raises:
        OSError: A frame cannot be read.
    """
    by_frame: dict[int, list[int]] = {}
    for i, cutout in enumerate(cutouts):
        by_frame.setdefault(cutout.frame, []).append(i)

    def of_frame(frame: int) -> list[tuple[int, str]]:
        image = read_image(paths[frame])
        rows = results[slice(*np.searchsorted(results[:, 0], (frame, frame + 1)))]
        return [(i, _encode(_draw(image, cutouts[i], rows))) for i in by_frame[frame]]

    # OpenCV computes outside of Python's lock.
    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        found = dict(pair for pairs in pool.map(of_frame, by_frame) for pair in pairs)
    return [found[i] for i in range(len(cutouts))]


def _draw(image: np.ndarray, cutout: Cutout, rows: np.ndarray) -> np.ndarray:
    x, y, width, height = cutout.box
    side = max(_SURROUNDINGS * max(width, height), _SMALLEST_REGION)
    left, top = x + width / 2 - side / 2, y + height / 2 - side / 2
    scale = _SIDE / side
    shrink = np.array([[scale, 0, -left * scale], [0, scale, -top * scale]])
    flags = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    if scale < 0.5:  # warping does not average: reduce the region first
        region = _region(image, left, top, side)
        picture = cv2.resize(region, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA)
    else:
        picture = cv2.warpAffine(image, shrink, (_SIDE, _SIDE), flags=flags)

    def placed(boxes: np.ndarray) -> np.ndarray:
        corners = xywh_to_xyxy(boxes)
        return whole_pixels((corners - [left, top, left, top]) * scale)

    if cutout.true_box:
        _rectangle(picture, placed(cutout.box[None])[0], WHITE, 1)
    corners = placed(rows[:, 2:6])
    visible = (corners[:, 2:] > 0).all(1) & (corners[:, :2] < _SIDE).all(1)
    for track, box in zip(rows[visible, 1].astype(int), corners[visible], strict=True):
        colour, wide = identity_colour(int(track)), track == cutout.track
        _rectangle(picture, box, colour, 2 if wide else 1)
        put_text(picture, str(track), (box[0], box[1]), colour)
    return picture


def _region(image: np.ndarray, left: float, top: float, side: float) -> np.ndarray:
    """A square of the image, black outside of it."""
    height, width = image.shape[:2]
    x1, y1, x2, y2 = (round(v) for v in (left, top, left + side, top + side))
    inner = image[max(y1, 0) : max(y2, 0), max(x1, 0) : max(x2, 0)]
    borders = max(-y1, 0), max(y2 - height, 0), max(-x1, 0), max(x2 - width, 0)
    if inner.size == 0:
        return np.zeros((1, 1, 3), np.uint8)
    return cv2.copyMakeBorder(inner, *borders, cv2.BORDER_CONSTANT)


def _rectangle(
    image: np.ndarray, box: np.ndarray, colour: tuple[int, int, int], width: int
) -> None:
    x1, y1, x2, y2 = box.tolist()
    cv2.rectangle(image, (x1, y1), (x2, y2), colour, width)


def _encode(image: np.ndarray) -> str:
    _, content = cv2.imencode(".webp", image, (cv2.IMWRITE_WEBP_QUALITY, _QUALITY))
    return base64.b64encode(content.tobytes()).decode()
