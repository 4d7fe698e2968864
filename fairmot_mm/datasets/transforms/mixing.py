"""Mosaic and mixup of the toolbox, with identities carried through."""

from typing import Any

import numpy as np
from mmcv.transforms import BaseTransform
from mmdet.datasets.transforms import MixUp as _MixUp
from mmdet.datasets.transforms import Mosaic as _Mosaic

from fairmot_mm.registry import TRANSFORMS

_PER_BOX = ("gt_bboxes_labels", "gt_instances_ids")


class _CarryIdentities(BaseTransform):
    """Makes a mixing transform of the toolbox keep identities with their boxes.

    The toolbox joins, moves and drops boxes together with their labels, but ignores
    identities. So while it works the labels are row numbers over all mixed images.
    """

    def __init__(self, img_scale: tuple[int, int], **kwargs: Any) -> None:
        defaults = dict(bbox_clip_border=False, pad_val=127.5)
        super().__init__(img_scale=tuple(img_scale), **(defaults | kwargs))

    def transform(self, results: dict) -> dict:
        """Mix the image with its ``mix_results``."""
        mixed = [results, *results["mix_results"]]
        columns = {
            key: np.concatenate([image[key] for image in mixed]) for key in _PER_BOX
        }
        first = 0
        for image in mixed:
            rows = first + np.arange(len(image["gt_bboxes_labels"]))
            image["gt_bboxes_labels"] = rows
            first += len(rows)
        results = super().transform(results)
        rows = results["gt_bboxes_labels"]
        results.update({key: column[rows] for key, column in columns.items()})
        return results


@TRANSFORMS.register_module()
class Mosaic(_CarryIdentities, _Mosaic):
    """``mmdet.Mosaic`` with identities: four images in one, twice as wide and high.

    For the pipeline of ``mmdet.MultiImageMixDataset``, followed by :class:`Letterbox`.

    Args:
        img_scale: Width and height of each of the four.
        **kwargs: For ``mmdet.Mosaic``: ``center_ratio_range``, ``prob``, ``pad_val``
            (grey of the padding, 127.5 by default), ``bbox_clip_border`` (whether to
            clip boxes to the image, False by default).
    """


@TRANSFORMS.register_module()
class MixUp(_CarryIdentities, _MixUp):
    """``mmdet.MixUp`` with identities: the mean of two images.

    For the pipeline of ``mmdet.MultiImageMixDataset``, after :class:`Letterbox`.

    Args:
        img_scale: Width and height of the network input.
        **kwargs: For ``mmdet.MixUp``: ``ratio_range``, ``flip_ratio``, ``max_iters``;
            ``pad_val`` and ``bbox_clip_border`` as in :class:`Mosaic`.
    """
