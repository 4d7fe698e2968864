import cv2
import numpy as np
from mmcv.transforms import BaseTransform
from mmdet.structures.bbox import autocast_box_type

from fairmot_mm.registry import TRANSFORMS


def letterbox(
    img: np.ndarray, size: tuple[int, int], pad_value: float = 127.5
) -> tuple[np.ndarray, float, tuple[float, float]]:
    """Resize an image to fit a size and centre it there on grey.

    Args:
        img (np.ndarray): (h, w, 3) uint8.
        size (tuple[int, int]): Width and height of the result.
        pad_value (float): Grey of the border.

    Returns:
        tuple[np.ndarray, float, tuple[float, float]]: The image (height, width, 3), the
        factor it was resized by, and the width of the border on the left and on top
        in pixels, before it is rounded to whole ones.
    """
    width, height = size
    factor = min(height / img.shape[0], width / img.shape[1])
    inner_w, inner_h = (max(round(side * factor), 1) for side in img.shape[1::-1])
    border = (width - inner_w) / 2, (height - inner_h) / 2
    # An odd border has its greater half on the right and at the bottom.
    left, right = round(border[0] - 0.1), round(border[0] + 0.1)
    top, bottom = round(border[1] - 0.1), round(border[1] + 0.1)
    img = cv2.resize(img, (inner_w, inner_h), interpolation=cv2.INTER_AREA)
    img = cv2.copyMakeBorder(
        img, top, bottom, left, right, cv2.BORDER_CONSTANT, value=(pad_value,) * 3
    )
    return img, factor, border


@TRANSFORMS.register_module()
class Letterbox(BaseTransform):
    """Resize an image and its boxes to fit the network input, centred on grey.

    Required Keys: ``img``, ``gt_bboxes`` (optional).

    Modified Keys: ``img``, ``img_shape``, ``gt_bboxes``.

    Added Keys: ``scale_factor``.

    Args:
        size (tuple[int, int]): Width and height of the network input, multiples of 32
            for DLA-34.
        pad_value (float): Grey of the border.
    """

    def __init__(self, size: tuple[int, int], pad_value: float = 127.5) -> None:
        if len(size) != 2 or min(size) < 1:
            raise ValueError(f"{size=}: give the width and height of the network input")
        self.size = tuple(size)
        self.pad_value = pad_value

    @autocast_box_type()
    def transform(self, results: dict) -> dict:
        """Letterbox one image; boxes move by the unrounded border, as published."""
        results["img"], factor, border = letterbox(
            results["img"], self.size, self.pad_value
        )
        results["img_shape"] = results["img"].shape[:2]
        results["scale_factor"] = (factor, factor)
        if "gt_bboxes" in results:
            boxes = results["gt_bboxes"]
            boxes.rescale_((factor, factor))
            boxes.translate_(border)
        return results

    def __repr__(self) -> str:
        return f"{type(self).__name__}(size={self.size}, pad_value={self.pad_value})"
