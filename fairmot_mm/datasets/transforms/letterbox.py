from mmcv.transforms import BaseTransform
from mmdet.structures.bbox import autocast_box_type

from fairmot_mm.registry import TRANSFORMS
from fairmot_mm.structures.letterbox import fit, letterbox


@TRANSFORMS.register_module()
class Letterbox(BaseTransform):
    """Resize an image and its boxes to fit the network input, centred on grey.

    Required Keys: ``img``, ``gt_bboxes`` (optional), ``input_size`` (without ``size``).

    Modified Keys: ``img``, ``img_shape``, ``gt_bboxes``.

    Added Keys: ``scale_factor``, ``pad_param``: what was done, for the way back from
    the network input (:func:`~fairmot_mm.structures.letterbox.input_to_image`).

    Args:
        size: Width and height of the network input, multiples of 32 for DLA-34; the
            dataset's ``input_size`` if None.
        pad_value: Grey of the border.
    """

    def __init__(
        self, size: tuple[int, int] | None = None, pad_value: float = 127.5
    ) -> None:
        if size is not None and (len(size) != 2 or min(size) < 1):
            raise ValueError(f"{size=}: give the width and height of the network input")
        self.size = None if size is None else (size[0], size[1])
        self.pad_value = pad_value

    @autocast_box_type()
    def transform(self, results: dict) -> dict:
        """Letterbox one image; boxes are moved by the unrounded border.

        Raises:
            KeyError: If neither the transform nor the dataset has a size.
        """
        size = self.size or results.get("input_size")
        if not size:
            raise KeyError(
                "no size of the network input: set input_size of the dataset, or size "
                "of the transform Letterbox"
            )
        image = results["img"]
        results["pad_param"] = fit(image.shape[:2], size[::-1])[1]
        results["img"], factor, border = letterbox(image, size, self.pad_value)
        results["img_shape"] = results["img"].shape[:2]
        results["scale_factor"] = (factor, factor)
        if "gt_bboxes" in results:
            results["gt_bboxes"].rescale_((factor, factor))
            results["gt_bboxes"].translate_(border)
        return results

    def __repr__(self) -> str:
        return f"{type(self).__name__}(size={self.size}, pad_value={self.pad_value})"
