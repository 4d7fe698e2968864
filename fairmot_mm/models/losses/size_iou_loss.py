import torch
from mmdet.models.losses import GIoULoss
from torch import Tensor, nn
from torch.nn import functional as F

from fairmot_mm.registry import MODELS


@MODELS.register_module()
class SizeIoULoss(nn.Module):
    """L1 loss of box sizes joined with the generalised IoU of the boxes.

    The L1 loss counts pixels, so it is ruled by the heights of large people; the IoU
    (Rezatofighi et al., CVPR 2019) counts shares, and the narrow side as much as the
    long one. Both boxes are laid around the same centre.

    Args:
        loss_weight: Weight of the L1 loss.
        iou_weight: Weight of the loss by generalised IoU, averaged over boxes.
    """

    def __init__(self, loss_weight: float = 0.1, iou_weight: float = 1.0) -> None:
        super().__init__()
        self.loss_weight = loss_weight
        self.loss_iou = GIoULoss(loss_weight=iou_weight)

    def forward(self, output: Tensor, target: Tensor, avg_factor: Tensor) -> Tensor:
        """Loss of M sizes (M, 4) ltrb or (M, 2) wh; ``avg_factor`` counts values."""
        l1 = F.l1_loss(output, target, reduction="sum") / avg_factor
        boxes = avg_factor / target.shape[1]
        iou = self.loss_iou(_boxes(output), _boxes(target), avg_factor=boxes)
        return self.loss_weight * l1 + iou


def _boxes(size: Tensor) -> Tensor:
    """Boxes (M, 4) xyxy around the origin."""
    if size.shape[1] == 2:
        size = size.repeat(1, 2) / 2
    # The network's first sizes may be negative.
    low, high = size.clamp_min(0).chunk(2, dim=1)
    return torch.cat((-low, high), dim=1)
