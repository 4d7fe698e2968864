from mmcv.transforms import BaseTransform
from mmdet.structures.bbox import autocast_box_type

from fairmot_mm.registry import TRANSFORMS
from fairmot_mm.structures.letterbox import fit, letterbox


@TRANSFORMS.register_module()
class Letterbox(BaseTransform):
    """Resize an image and its boxes to fit the network input, centred on grey.

    Required Keys: ``img``, ``gt_bboxes`` (optional).

    Modified Keys: ``img``, ``img_shape``, ``gt_bboxes``.

    Added Keys: ``scale_factor``, ``pad_param``: what was done, for the way back from
    the network input (:func:`~fairmot_mm.structures.letterbox.input_to_image`).

    Args:
        size: Width and height of the network input, multiples of 32 for DLA-34.
        pad_value: Grey of the border.
    """

    def __init__(self, size: tuple[int, int], pad_value: float = 127.5) -> None:
        if len(size) != 2 or min(size) < 1:
            raise ValueError(f"{size=}: give the width and height of the network input")
        self.size = (size[0], size[1])
        self.pad_value = pad_value

    @autocast_box_type()
    def transform(self, results: dict) -> dict:
        """Letterbox one image; boxes are moved by the unrounded border."""
        image_hw = results["img"].shape[:2]
        results["img"], factor, border = letterbox(
            results["img"], self.size, self.pad_value
        )
        results["img_shape"] = results["img"].shape[:2]
        results["scale_factor"] = (factor, factor)
        results["pad_param"] = fit(image_hw, self.size[::-1])[1]
        if "gt_bboxes" in results:
            boxes = results["gt_bboxes"]
            boxes.rescale_((factor, factor))
            boxes.translate_(border)
        return results

    def __repr__(self) -> str:
        return f"{type(self).__name__}(size={self.size}, pad_value={self.pad_value})"
