from typing import ClassVar

from mmdet.datasets.transforms import PackDetInputs

from fairmot_mm.registry import TRANSFORMS


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

    meta_keys: tuple[str, ...]

    def __init__(self, **kwargs: tuple[str, ...]) -> None:
        super().__init__(**kwargs)
        self.meta_keys = (*self.meta_keys, "pad_param")
