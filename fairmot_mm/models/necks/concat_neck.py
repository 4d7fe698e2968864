from collections.abc import Sequence

import torch
from mmengine.model import BaseModule
from torch import Tensor
from torch.nn import functional as F

from fairmot_mm.registry import MODELS

from ..feature_maps import check_num_maps


@MODELS.register_module()
class ConcatNeck(BaseModule):
    """All maps upsampled to the finest one and concatenated.

    FairMOT's neck for an HRNet (Sun et al., arXiv:1904.04514, HRNetV2).
    """

    def __init__(
        self, in_channels: Sequence[int], init_cfg: dict | None = None
    ) -> None:
        super().__init__(init_cfg)
        self.in_channels = tuple(in_channels)
        self.out_channels = sum(in_channels)

    def forward(self, inputs: Sequence[Tensor]) -> tuple[Tensor]:
        """Join maps (N, C_i, H_i, W_i), finest first, to one (N, sum C_i, H_0, W_0)."""
        check_num_maps(inputs, len(self.in_channels))
        size = inputs[0].shape[-2:]
        coarser = (F.interpolate(m, size, mode="bilinear") for m in inputs[1:])
        return (torch.cat((inputs[0], *coarser), dim=1),)
