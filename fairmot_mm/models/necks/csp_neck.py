from collections.abc import Sequence
from itertools import pairwise

import torch
from mmcv.cnn import ConvModule
from mmdet.models.layers import CSPLayer
from mmengine.model import BaseModule
from torch import Tensor, nn
from torch.nn import functional as F

from fairmot_mm.registry import MODELS

from ..feature_maps import check_num_maps


@MODELS.register_module()
class CSPNeck(BaseModule):
    """Top-down path of YOLOv5, continued to stride 4 (FairMOT's ``yolo``).

    From the coarsest map on, each is reduced, upsampled, concatenated with the finer
    one and mixed by a CSP layer. ``mmdet.YOLOXPAFPN`` stops at stride 8 and adds a
    bottom-up path.

    Args:
        in_channels: Channels of the maps that come in, finest first.
        num_blocks: Bottlenecks in each CSP layer.
    """

    def __init__(
        self,
        in_channels: Sequence[int] = (64, 128, 256, 512),
        num_blocks: int = 1,
        norm_cfg: dict | None = None,
        act_cfg: dict | None = None,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(init_cfg)
        layers = dict(
            norm_cfg=norm_cfg or dict(type="BN", momentum=0.03, eps=1e-3),
            act_cfg=act_cfg or dict(type="SiLU"),
        )
        self.in_channels = tuple(in_channels)
        self.out_channels = in_channels[0]
        self.reductions, self.csp_layers = nn.ModuleList(), nn.ModuleList()
        csp = dict(num_blocks=num_blocks, add_identity=False, **layers)
        for coarse, finer in pairwise(in_channels[::-1]):
            self.reductions.append(ConvModule(coarse, finer, 1, **layers))
            self.csp_layers.append(CSPLayer(2 * finer, finer, **csp))

    def forward(self, inputs: Sequence[Tensor]) -> tuple[Tensor]:
        """Join maps (N, C_i, H_i, W_i), each half as large, to (N, C_0, H_0, W_0)."""
        check_num_maps(inputs, len(self.in_channels))
        joined, *finer = inputs[::-1]
        for x, reduce, mix in zip(finer, self.reductions, self.csp_layers, strict=True):
            upsampled = F.interpolate(reduce(joined), scale_factor=2)
            joined = mix(torch.cat((upsampled, x), dim=1))
        return (joined,)
