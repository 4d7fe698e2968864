import math

import cv2
import numpy as np
from mmcv.transforms import BaseTransform
from mmcv.transforms.utils import cache_randomness
from mmdet.structures.bbox import autocast_box_type

from fairmot_mm.registry import TRANSFORMS

# Arrays with a row per box. MMDetection and MMTracking name identities differently.
_BOX_KEYS = (
    "gt_bboxes",
    "gt_bboxes_labels",
    "gt_instances_ids",
    "gt_instances_id",
    "gt_ignore_flags",
)


@TRANSFORMS.register_module()
class RandomSaturationValue(BaseTransform):
    """Multiply saturation and value (HSV), each by its own factor.

    Required Keys: ``img``, BGR uint8.

    Modified Keys: ``img``.

    Args:
        fraction: Factors are drawn from ``1 - fraction`` to ``1 + fraction``.
    """

    def __init__(self, fraction: float = 0.5) -> None:
        if not 0 <= fraction <= 1:
            raise ValueError(f"{fraction=}: must be between 0 and 1")
        self.fraction = fraction

    @cache_randomness
    def _factors(self) -> tuple[float, float]:
        saturation, value = np.random.uniform(-1, 1, 2) * self.fraction + 1
        return saturation, value

    def transform(self, results: dict) -> dict:
        """Jitter one image."""
        hue, *channels = cv2.split(cv2.cvtColor(results["img"], cv2.COLOR_BGR2HSV))
        scaled = []
        for channel, factor in zip(channels, self._factors(), strict=True):
            # Rounded down as in the reference implementation, by a lookup table.
            table = np.arange(256, dtype=np.float32) * np.float32(factor)
            scaled.append(cv2.LUT(channel, table.clip(max=255).astype(np.uint8)))
        results["img"] = cv2.cvtColor(cv2.merge([hue, *scaled]), cv2.COLOR_HSV2BGR)
        return results

    def __repr__(self) -> str:
        return f"{type(self).__name__}(fraction={self.fraction})"


def warp_boxes(
    boxes: np.ndarray,
    matrix: np.ndarray,
    degrees: float,
    size: tuple[int, int],
    clip: bool = False,
) -> tuple[np.ndarray, np.ndarray]:
    """Warp boxes with their image and drop some.

    The upright hull of a rotated box is too large, so it is shrunk by the square root
    of the greater of sine and cosine. Dropped are boxes that lie outside the image, or
    have a side of at most 4 pixels, less than a tenth of their area or an aspect ratio
    of at least 10.

    Args:
        boxes: (N, 4) xyxy in pixels.
        matrix: (3, 3) affine matrix.
        degrees: Its rotation.
        size: Width and height of the image.
        clip: Clip boxes to the image before any is dropped; else they may leave it.

    Returns:
        Rows that are kept (K,), ascending, and their boxes (K, 4).
    """
    corners = np.ones((len(boxes), 4, 3))
    corners[:, :, :2] = boxes[:, [0, 1, 2, 3, 0, 3, 2, 1]].reshape(-1, 4, 2)
    corners = (corners @ matrix.T)[:, :, :2]
    low, high = corners.min(1), corners.max(1)
    radians = math.radians(degrees)
    reduction = max(abs(math.sin(radians)), abs(math.cos(radians))) ** 0.5
    middle, half = (low + high) / 2, (high - low) * reduction / 2
    warped = np.concatenate((middle - half, middle + half), axis=1)
    if clip:
        warped = warped.clip(0, np.tile(size, 2))

    tiny = 1e-16
    before = (boxes[:, 2:] - boxes[:, :2]).prod(1)
    sides = warped[:, 2:] - warped[:, :2]
    aspect = np.max(sides / (sides[:, ::-1] + tiny), axis=1, initial=0)
    kept = (sides > 4).all(1) & (aspect < 10)
    kept &= sides.prod(1) / (before + tiny) > 0.1
    warped = warped.astype(boxes.dtype)
    kept &= (warped[:, :2] < size).all(1) & (warped[:, 2:] > 0).all(1)
    rows = np.flatnonzero(kept)
    return rows, warped[rows]


@TRANSFORMS.register_module()
class RandomBoxAffine(BaseTransform):
    """Rotate, scale, shift and shear an image and its boxes, as FairMOT is trained.

    Unlike in MMDetection's ``RandomAffine``, boxes may reach outside the image and keep
    their identities.

    Required Keys: ``img``; optional ``gt_bboxes``, ``gt_bboxes_labels``,
    ``gt_instances_ids`` (or ``gt_instances_id``, as MMTracking has it),
    ``gt_ignore_flags``.

    Modified Keys: the same.

    Args:
        degrees: Range of the rotation.
        translate: Largest shift to the right and down, as shares of the image's height
            and width respectively (in this order, as in the reference implementation).
        scale: Range of the factor.
        shear: Range of the shear in degrees.
        pad_value: Grey of the padding.
        clip: Clip boxes to the image, as for MOT20, whose boxes are clipped as well.
    """

    def __init__(
        self,
        degrees: tuple[float, float] = (-5, 5),
        translate: tuple[float, float] = (0.1, 0.1),
        scale: tuple[float, float] = (0.5, 1.2),
        shear: tuple[float, float] = (-2, 2),
        pad_value: float = 127.5,
        clip: bool = False,
    ) -> None:
        self.degrees = degrees
        self.translate = translate
        self.scale = scale
        self.shear = shear
        self.pad_value = pad_value
        self.clip = clip

    @cache_randomness
    def _draw(self, width: int, height: int) -> tuple[np.ndarray, float]:
        """Draw a matrix (3, 3) and its rotation in degrees."""
        degrees = np.random.uniform(*self.degrees)
        turn, shift, shear = np.eye(3), np.eye(3), np.eye(3)
        turn[:2] = cv2.getRotationMatrix2D(
            (width / 2, height / 2), degrees, np.random.uniform(*self.scale)
        )
        shift[:2, 2] = np.random.uniform(-1, 1, 2) * self.translate * (height, width)
        shear[0, 1], shear[1, 0] = np.tan(np.radians(np.random.uniform(*self.shear, 2)))
        return shear @ shift @ turn, degrees

    @autocast_box_type()
    def transform(self, results: dict) -> dict:
        """Warp one image and its boxes."""
        image = results["img"]
        size = image.shape[1], image.shape[0]
        matrix, degrees = self._draw(*size)
        grey = (self.pad_value,) * 3
        results["img"] = cv2.warpAffine(image, matrix[:2], size, borderValue=grey)
        if "gt_bboxes" in results:
            boxes = results["gt_bboxes"].numpy()
            rows, boxes = warp_boxes(boxes, matrix, degrees, size, self.clip)
            for key in _BOX_KEYS:
                if key in results:
                    results[key] = results[key][rows]
            results["gt_bboxes"].tensor = results["gt_bboxes"].tensor.new_tensor(boxes)
        return results

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}(degrees={self.degrees}, "
            f"translate={self.translate}, scale={self.scale}, shear={self.shear}, "
            f"clip={self.clip})"
        )
