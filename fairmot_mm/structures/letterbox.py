import cv2
import numpy as np
from torch import Tensor


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


def input_to_image(boxes: Tensor, meta: dict, input_hw: tuple[int, int]) -> Tensor:
    """Map boxes from the network input back to the original image.

    A letterboxed image lies centred in its input: the published decoding undoes just
    that, without the letterbox's rounding to whole pixels. An image resized by the
    toolbox's own ``Resize`` lies in the top left corner instead; it is told by an
    ``img_shape`` that is nothing but ``ori_shape`` scaled.

    Args:
        boxes (Tensor): (K, 4) xyxy in pixels of the network input.
        meta (dict): ``ori_shape``, and from the toolbox's transforms ``img_shape`` and
            ``scale_factor`` (width, height).
        input_hw (tuple[int, int]): Height and width of the network input.

    Returns:
        Tensor: (K, 4) xyxy in pixels of the original image.

    Raises:
        KeyError: If ``ori_shape`` is missing.
    """
    if "ori_shape" not in meta:
        raise KeyError("the image's metas need 'ori_shape', its (height, width)")
    height, width = meta["ori_shape"][:2]
    factor = meta.get("scale_factor")
    if factor is not None and "img_shape" in meta:
        resized = (round(height * factor[1]), round(width * factor[0]))
        if tuple(meta["img_shape"][:2]) == resized:
            return boxes / boxes.new_tensor([*factor, *factor])
    input_h, input_w = input_hw
    scale = max(width / input_w, height / input_h)
    middle_in = boxes.new_tensor([input_w / 2, input_h / 2] * 2)
    middle_out = boxes.new_tensor([width / 2, height / 2] * 2)
    return (boxes - middle_in) * scale + middle_out
