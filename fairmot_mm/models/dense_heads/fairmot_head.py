from collections.abc import Callable, Sequence
from functools import partial

import torch
from mmdet.models.dense_heads.base_dense_head import BaseDenseHead
from mmdet.utils import reduce_mean
from mmengine.dist import get_world_size
from mmengine.structures import InstanceData
from torch import Tensor, nn

from fairmot_mm.registry import MODELS
from fairmot_mm.structures.letterbox import input_to_image

from ..feature_maps import gather_cells, only_map
from ..layers.branch import ConvBranch
from .center_targets import CenterTargets, center_targets
from .decoding import decode_boxes, find_peaks


@MODELS.register_module()
class FairMOTHead(BaseDenseHead):
    """CenterNet head of FairMOT: heatmap, box size and centre offset.

    Zhang et al., *FairMOT*, arXiv:2004.01888, section 3.2.1. Also a ``bbox_head`` for
    ``mmdet.CenterNet``.

    Args:
        feat_channels: Channels between the two convolutions of a branch.
        ltrb: Whether the size is left, top, right, bottom from the centre; width,
            height if not.
        act_cfg: Activation between the two convolutions; ReLU if None.
        loss_heatmap: Loss of the heatmap, on probabilities.
        loss_size: Loss of the size at the centres.
        loss_offset: Loss of the offset at the centres.
        test_cfg: ``topk`` is the greatest number of boxes per image, 500 if absent.
    """

    # sigmoid(-2.19) = 0.1: the prior probability of a centre (Lin et al., *Focal loss*,
    # section 4.1).
    HEATMAP_BIAS = -2.19
    # Probabilities are clamped this far from 0 and 1 before their logarithm.
    PROBABILITY_MARGIN = 1e-4

    def __init__(
        self,
        in_channels: int,
        num_classes: int = 1,
        feat_channels: int = 256,
        ltrb: bool = True,
        act_cfg: dict | None = None,
        loss_heatmap: dict | None = None,
        loss_size: dict | None = None,
        loss_offset: dict | None = None,
        train_cfg: dict | None = None,
        test_cfg: dict | None = None,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(init_cfg)
        self.in_channels = in_channels
        self.num_classes = num_classes
        self.ltrb = ltrb
        self.topk = (test_cfg or {}).get("topk", 500)
        self.heatmap_branch, self.size_branch, self.offset_branch = (
            ConvBranch(in_channels, feat_channels, channels, act_cfg)
            for channels in (num_classes, 4 if ltrb else 2, 2)
        )
        self.loss_heatmap = MODELS.build(
            loss_heatmap or dict(type="mmdet.GaussianFocalLoss")
        )
        self.loss_size = MODELS.build(
            loss_size or dict(type="mmdet.L1Loss", loss_weight=0.1)
        )
        self.loss_offset = MODELS.build(loss_offset or dict(type="mmdet.L1Loss"))
        bias = self.heatmap_branch[-1].get_parameter("bias")
        nn.init.constant_(bias, self.HEATMAP_BIAS)

    def forward(self, feats: Sequence[Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        """Map one map (N, C_in, h, w) to heatmap logits, size and offset.

        They are (N, C, h, w), (N, 4 or 2, h, w) and (N, 2, h, w), the latter in cells.
        """
        x = only_map(feats, self.in_channels, "bbox_head")
        return self.heatmap_branch(x), self.size_branch(x), self.offset_branch(x)

    def heatmap(self, feats: Sequence[Tensor]) -> Tensor:
        """Compute the heatmap's logits (N, C, h, w) alone."""
        return self.heatmap_branch(only_map(feats, self.in_channels, "bbox_head"))

    def boxes_at(
        self, feats: Sequence[Tensor], image: Tensor, cell: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Size (..., 4 or 2) and offset (..., 2), in cells; see ``ConvBranch.at``."""
        x = only_map(feats, self.in_channels, "bbox_head")
        branches = (self.size_branch, self.offset_branch)
        size, offset = (branch.at(x, image, cell) for branch in branches)
        return size, offset

    def get_targets(
        self,
        batch_gt_instances: Sequence[InstanceData],
        map_hw: Sequence[int],
        input_hw: Sequence[int],
    ) -> CenterTargets:
        """Encode a batch's boxes; see :func:`center_targets`."""
        return center_targets(
            batch_gt_instances, self.num_classes, map_hw, input_hw, self.ltrb
        )

    def loss_by_feat(
        self,
        heatmap: Tensor,
        size: Tensor,
        offset: Tensor,
        batch_gt_instances: Sequence[InstanceData],
        batch_img_metas: Sequence[dict],
        batch_gt_instances_ignore: Sequence[InstanceData] | None = None,
    ) -> dict[str, Tensor]:
        """Losses of whole maps for a batch's boxes; see :meth:`loss_by_targets`."""
        input_hw = batch_img_metas[0]["batch_input_shape"]
        targets = self.get_targets(batch_gt_instances, heatmap.shape[-2:], input_hw)
        size = gather_cells(size, targets.image, targets.cell)
        offset = gather_cells(offset, targets.image, targets.cell)
        return self.loss_by_targets(heatmap, size, offset, targets)

    def loss_by_targets(
        self, heatmap: Tensor, size: Tensor, offset: Tensor, targets: CenterTargets
    ) -> dict[str, Tensor]:
        """Weighted losses of the heatmap, and of size and offset at M centres.

        The focal loss is divided by the number of cells that equal 1, the L1 losses by
        the number of values compared (FairMOT, eq. 1 and 2), both over all processes.

        Args:
            heatmap: (N, C, h, w) logits.
            size: (M, 4 or 2), in cells.
            offset: (M, 2), in cells.
            targets: Of the M objects.
        """
        margin = self.PROBABILITY_MARGIN
        probability = heatmap.float().sigmoid().clamp(margin, 1 - margin)
        # Gradients are averaged over processes, so each divides by the mean count: as
        # if one process had the whole batch.
        processes = get_world_size()
        centers = targets.heatmap.eq(1).sum().float()
        centers, objects = reduce_mean(
            torch.stack((centers, centers.new_tensor(len(targets.cell))))
        )

        def at_centers(loss: nn.Module, output: Tensor, target: Tensor) -> Tensor:
            count = objects * target.shape[1] + 1e-4 / processes
            return loss(output.float(), target, avg_factor=count)

        centers = centers.clamp_min(1 / processes)
        return dict(
            loss_heatmap=self.loss_heatmap(
                probability, targets.heatmap, avg_factor=centers
            ),
            loss_size=at_centers(self.loss_size, size, targets.size),
            loss_offset=at_centers(self.loss_offset, offset, targets.offset),
        )

    def predict_by_feat(
        self,
        heatmap: Tensor,
        size: Tensor,
        offset: Tensor,
        batch_img_metas: Sequence[dict],
        rescale: bool = True,
        input_hw: Sequence[int] | None = None,
    ) -> list[InstanceData]:
        """Read the boxes off the maps' peaks.

        A peak is the greatest value among its eight neighbours. Boxes may reach
        outside the image.

        Args:
            heatmap: (N, C, h, w) logits.
            size: (N, 4 or 2, h, w).
            offset: (N, 2, h, w).
            batch_img_metas: Per image ``ori_shape`` and, unless ``input_hw`` is given,
                ``batch_input_shape``.
            rescale: Whether boxes are in pixels of the original image; in pixels of the
                network input if not.
            input_hw: Height and width of the network input.

        Returns:
            Per image, best first, ``bboxes`` (K, 4) xyxy, ``scores`` (K,), ``labels``
            (K,) and ``cells`` (K,), the flat map index each was read from.
        """

        def boxes_at(image: Tensor, cell: Tensor) -> tuple[Tensor, Tensor]:
            return gather_cells(size, image, cell), gather_cells(offset, image, cell)

        return self._decode(heatmap, boxes_at, batch_img_metas, rescale, input_hw)

    def predict_at_peaks(
        self,
        feats: Sequence[Tensor],
        batch_img_metas: Sequence[dict],
        rescale: bool = True,
        input_hw: Sequence[int] | None = None,
    ) -> list[InstanceData]:
        """:meth:`predict_by_feat` of one map, without whole maps of size and offset."""
        heatmap, boxes_at = self.heatmap(feats), partial(self.boxes_at, feats)
        return self._decode(heatmap, boxes_at, batch_img_metas, rescale, input_hw)

    def _decode(
        self,
        heatmap: Tensor,
        boxes_at: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]],
        batch_img_metas: Sequence[dict],
        rescale: bool,
        input_hw: Sequence[int] | None,
    ) -> list[InstanceData]:
        scores, labels, cells = find_peaks(heatmap, self.topk)
        image = torch.arange(len(heatmap), device=cells.device)
        size, offset = boxes_at(image[:, None].expand_as(cells), cells)
        height, width = input_hw or batch_img_metas[0]["batch_input_shape"]
        hw = (height, width)
        results = []
        for i, meta in enumerate(batch_img_metas):
            found = scores[i] > 0  # other cells were set to zero
            at_peaks = (cells[i, found], size[i, found], offset[i, found])
            boxes = decode_boxes(*at_peaks, heatmap.shape[-2:], hw)
            result = InstanceData(
                bboxes=input_to_image(boxes, meta, hw) if rescale else boxes,
                scores=scores[i, found],
                labels=labels[i, found],
                cells=at_peaks[0],
            )
            results.append(result)
        return results
