"""Letterboxing and its inverse; what was done travels in the image's metas."""

from collections.abc import Sequence

import cv2
import numpy as np
from torch import Tensor


def fit(
    image_hw: tuple[int, int], input_hw: tuple[int, int]
) -> tuple[float, tuple[float, float, float, float]]:
    """Scale factor and border by which an image is centred in the network input.

    Returns:
        The factor, and ``pad_param``: the border (top, bottom, left, right) in pixels
        of the input, before anything is rounded.
    """
    (height, width), (input_h, input_w) = image_hw, input_hw
    factor = min(input_h / height, input_w / width)
    top, left = (input_h - height * factor) / 2, (input_w - width * factor) / 2
    return factor, (top, top, left, left)


def letterbox(
    img: np.ndarray, size: tuple[int, int], pad_value: float = 127.5
) -> tuple[np.ndarray, float, tuple[float, float]]:
    """Resize an image to fit a size and centre it there on grey.

    Args:
        img: (h, w, 3) uint8.
        size: Width and height of the result.
        pad_value: Grey of the border.

    Returns:
        The image (height, width, 3), the factor it was resized by, and the border on
        the left and on top, before it is rounded to whole pixels: annotations are moved
        by it, as in the reference implementation.
    """
    factor, border, (left, top), (inner_w, inner_h) = placement(img.shape[:2], size)
    out = np.full((size[1], size[0], 3), round(pad_value), np.uint8)
    inside = out[top : top + inner_h, left : left + inner_w]
    cv2.resize(img, (inner_w, inner_h), inside, interpolation=cv2.INTER_AREA)
    return out, factor, border


def placement(
    image_hw: tuple[int, int], size: tuple[int, int]
) -> tuple[float, tuple[float, float], tuple[int, int], tuple[int, int]]:
    """Where :func:`letterbox` puts an image.

    Args:
        image_hw: Height and width of the image.
        size: Width and height of the network input.

    Returns:
        The factor it is resized by; its border on the left and on top before rounding;
        the same in whole pixels; and its width and height there.
    """
    width, height = size
    factor, _ = fit(image_hw, (height, width))
    inner_h, inner_w = (max(round(side * factor), 1) for side in image_hw)
    border = (width - inner_w) / 2, (height - inner_h) / 2
    # An odd border has its greater half on the right and at the bottom.
    corner = round(border[0] - 0.1), round(border[1] - 0.1)
    return factor, border, corner, (inner_w, inner_h)


def input_to_image(boxes: Tensor, meta: dict, input_hw: tuple[int, int]) -> Tensor:
    """Map boxes from the network input back to the original image.

    Undoes what the metas record: ``scale_factor`` (width, height) and ``pad_param``
    (top, bottom, left, right; MMYOLO's meaning) of a letterbox, or ``scale_factor``
    alone, where the image lies in the top left corner, as after the toolboxes'
    ``Resize`` and ``Pad``. ``img_shape`` is not read: ``Pad`` overwrites it. With
    neither, the image is taken to be letterboxed in the input.

    Args:
        boxes: (K, 4) xyxy in pixels of the network input.
        meta: ``ori_shape`` and, from the transforms, the above.
        input_hw: Height and width of the network input.

    Returns:
        (K, 4) xyxy in pixels of the original image.

    Raises:
        KeyError: If ``ori_shape`` is missing.
        ValueError: If a letterbox's ``pad_param`` was lost on the way.
    """
    factors, middle, middle_in = _placed(meta, input_hw)
    inverse = boxes.new_tensor([1 / factor for factor in factors])
    # From the middle of the image: the reference implementation's order of roundings.
    return (boxes - boxes.new_tensor(middle_in)) * inverse + boxes.new_tensor(middle)


def image_to_input(boxes: Tensor, meta: dict, input_hw: Sequence[int]) -> Tensor:
    """Map boxes (K, 4) xyxy from the original image to the network input.

    The inverse of :func:`input_to_image`, with the same arguments and errors.
    """
    factors, middle, middle_in = map(boxes.new_tensor, _placed(meta, input_hw))
    return (boxes - middle) * factors + middle_in


def _placed(meta: dict, input_hw: Sequence[int]) -> tuple[list, list, list]:
    """Scale factors, middle of the image, and where it is in the input: xyxy each."""
    if "ori_shape" not in meta:
        raise KeyError("the image's metas need 'ori_shape', its (height, width)")
    height, width = meta["ori_shape"][:2]
    top = left = 0.0
    if (factors := meta.get("scale_factor")) is None:
        factor, (top, _, left, _) = fit((height, width), (input_hw[0], input_hw[1]))
        factors = (factor, factor)
    elif "pad_param" in meta:
        top, _, left, _ = meta["pad_param"]
    else:
        _check_whole_pixels(width * factors[0], height * factors[1])
    middle = [width / 2, height / 2]
    middle_in = [left + middle[0] * factors[0], top + middle[1] * factors[1]]
    return list(factors[:2]) * 2, middle * 2, middle_in * 2


def _check_whole_pixels(width: float, height: float) -> None:
    """The toolboxes' ``Resize`` gives whole pixels; a letterbox's factor need not."""
    if max(abs(side - round(side)) for side in (width, height)) > 0.01:
        raise ValueError(
            f"the metas' scale_factor makes the image {width:.2f}x{height:.2f} pixels "
            "large, which no Resize does, and pad_param is missing: add 'pad_param' to "
            "meta_keys of the transform that packs the inputs"
        )
