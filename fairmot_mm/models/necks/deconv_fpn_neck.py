from collections.abc import Sequence
from itertools import pairwise

from mmengine.model import BaseModule
from torch import Tensor, nn

from fairmot_mm.registry import MODELS

from ..feature_maps import check_num_maps
from ..layers.deconv import DeconvStage, deform_conv


@MODELS.register_module()
class DeconvFPNNeck(BaseModule):
    """Feature pyramid of deformable convolutions, upsampled by transposed ones.

    FairMOT's ``resfpndcn`` (arXiv:2004.01888): the coarsest map is doubled,
    joined by addition to the projected finer one and smoothed, until stride 4.

    Args:
        in_channels: Channels of the maps that come in, finest first.
        channels: Channels of the joined maps, coarsest first.
    """

    def __init__(
        self,
        in_channels: Sequence[int] = (64, 128, 256, 512),
        channels: Sequence[int] = (256, 128, 64),
        norm_cfg: dict | None = None,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(init_cfg)
        if len(in_channels) != len(channels) + 1:
            raise ValueError(f"{in_channels=} must be one map more than {channels=}")
        norm_cfg = norm_cfg or dict(type="BN")
        self.in_channels = tuple(in_channels)
        self.out_channels = channels[-1]
        joined = pairwise((in_channels[-1], *channels))
        finer = zip(in_channels[-2::-1], channels, strict=True)
        self.stages = nn.ModuleList(DeconvStage(a, b, norm_cfg) for a, b in joined)
        self.projections = nn.ModuleList(deform_conv(a, b, norm_cfg) for a, b in finer)
        self.smooths = nn.ModuleList(deform_conv(c, c, norm_cfg) for c in channels)

    def forward(self, inputs: Sequence[Tensor]) -> tuple[Tensor]:
        """Join maps (N, C_i, H_i, W_i), each half as large, to (N, C_out, H_0, W_0)."""
        check_num_maps(inputs, len(self.in_channels))
        joined, *finer = inputs[::-1]
        layers = zip(self.stages, self.projections, self.smooths, strict=True)
        for x, (stage, project, smooth) in zip(finer, layers, strict=True):
            joined = smooth(stage(joined) + project(x))
        return (joined,)
