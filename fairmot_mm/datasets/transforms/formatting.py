from typing import ClassVar

from mmdet.datasets.transforms import PackDetInputs, PackTrackInputs

from fairmot_mm.registry import TRANSFORMS

_TRACKING_METAS = (
    "frame_index",
    "frame_number",
    "frame_range",
    "frame_rate",
    "pad_param",
    "sequence_name",
    "sequence_root",
)


@TRANSFORMS.register_module()
class PackTrackTrainInputs(PackDetInputs):
    """``PackDetInputs`` with identities, as ``gt_instances.instances_ids``.

    What :class:`Letterbox` records is always among the metas.

    Required Keys: ``img``, ``gt_bboxes``, ``gt_bboxes_labels``, ``gt_instances_ids``.
    """

    mapping_table: ClassVar = {
        **PackDetInputs.mapping_table,
        "gt_instances_ids": "instances_ids",
    }

    def __init__(self, **kwargs: tuple[str, ...]) -> None:
        super().__init__(**kwargs)
        self.meta_keys: tuple[str, ...] = (*self.meta_keys, "pad_param")


@TRANSFORMS.register_module()
class PackTrackTestInputs(PackTrackInputs):
    """``PackTrackInputs`` for tracking, with ground truth in the original image.

    :class:`Letterbox` does not move ``ori_gt_bboxes``: ``gt_instances`` (``bboxes``
    (k, 4) xyxy in pixels of the original image, ``labels``, ``instances_ids`` with -1
    for none) and ``ignored_instances`` are what predictions are scored against. Without
    ground truth in the record, both are empty and have no ``bboxes``.

    Required Keys: ``img``, ``img_id``.

    Optional Keys: ``ori_gt_bboxes``, ``gt_bboxes_labels``, ``gt_instances_ids``,
    ``gt_ignore_flags``; the metas.

    Args:
        meta_keys: More metas to pack.
    """

    mapping_table: ClassVar = {
        "ori_gt_bboxes": "bboxes",
        "gt_bboxes_labels": "labels",
        "gt_instances_ids": "instances_ids",
    }

    def __init__(self, meta_keys: tuple[str, ...] = ()) -> None:
        super().__init__((*_TRACKING_METAS, *meta_keys))
