from torch import Tensor


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
