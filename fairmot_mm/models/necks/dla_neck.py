from collections.abc import Sequence

from mmcv.cnn import ConvModule
from mmengine.model import BaseModule
from torch import Tensor, nn

from fairmot_mm.registry import MODELS

from ..feature_maps import check_num_maps
from ..layers.bilinear import BilinearUpsample


class IDAUp(BaseModule):
    """Iterative deep aggregation upwards: coarse maps are joined to fine ones.

    Maps come finest first; ``factors`` are those of the upsampling of all others.
    """

    def __init__(
        self,
        in_channels: Sequence[int],
        out_channels: int,
        factors: Sequence[int],
        conv_cfg: dict,
        norm_cfg: dict,
    ) -> None:
        super().__init__()

        layers = dict(conv_cfg=conv_cfg, norm_cfg=norm_cfg)
        # As in the reference implementation: only deformable ones have one.
        bias = conv_cfg["type"] != "Conv2d"

        def conv(channels: int) -> ConvModule:
            return ConvModule(channels, out_channels, 3, 1, 1, bias=bias, **layers)

        self.projections = nn.ModuleList(conv(c) for c in in_channels[1:])
        self.upsamples = nn.ModuleList(
            BilinearUpsample(out_channels, factor) for factor in factors
        )
        self.nodes = nn.ModuleList(conv(out_channels) for _ in factors)

    def forward(self, maps: Sequence[Tensor]) -> list[Tensor]:
        """Join each map (N, C_i, H_i, W_i) to the finer one before it.

        Gives one map less, all of the size and ``out_channels`` of the first.
        """
        out, finer = [], maps[0]
        layers = zip(self.projections, self.upsamples, self.nodes, strict=True)
        for coarse, (projection, upsample, node) in zip(maps[1:], layers, strict=True):
            finer = node(upsample(projection(coarse)) + finer)
            out.append(finer)
        return out


@MODELS.register_module()
class DLANeck(BaseModule):
    """DLAUp and IDAUp: the maps of :class:`DLANet` joined to one stride-4 map.

    The neck of CenterNet (Zhou et al., arXiv:1904.07850, appendix A) and FairMOT
    (Zhang et al., arXiv:2004.01888, figure 2). Takes the maps of all six levels of the
    backbone or those from ``start_level`` on.

    Args:
        in_channels: Channels of the levels that come in.
        start_level: Level of the output map (2: stride 4).
        end_level: The final aggregation joins the levels before this one.
        use_dcn: Whether convolutions are deformable; plain ones otherwise.
    """

    def __init__(
        self,
        in_channels: Sequence[int] = (16, 32, 64, 128, 256, 512),
        start_level: int = 2,
        end_level: int = 5,
        use_dcn: bool = True,
        norm_cfg: dict | None = None,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(init_cfg)
        if not 0 <= start_level < end_level - 1 < len(in_channels):
            raise ValueError(
                f"{start_level=}, {end_level=}: at least two of the "
                f"{len(in_channels)} levels must lie between them"
            )
        self.start_level = start_level
        self.in_channels = tuple(in_channels)
        self.final_maps = end_level - start_level
        channels = list(in_channels[start_level:])
        self.out_channels = channels[0]
        layers = dict(
            conv_cfg=dict(type="fairmot_mm.DCNv2" if use_dcn else "Conv2d"),
            norm_cfg=norm_cfg or dict(type="BN"),
        )

        # DLAUp works from the coarsest map upwards; every step brings all maps from
        # there down to the size and width of the next finer one.
        self.dla_up = nn.ModuleList()
        current = channels.copy()
        for count in range(2, len(channels) + 1):
            finer, factors = channels[-count], [2] * (count - 1)
            self.dla_up.append(IDAUp(current[-count:], finer, factors, **layers))
            current[1 - count :] = [finer] * (count - 1)
        factors = [2**i for i in range(1, self.final_maps)]
        finest = channels[: self.final_maps]
        self.ida_up = IDAUp(finest, self.out_channels, factors, **layers)

    def forward(self, inputs: Sequence[Tensor]) -> tuple[Tensor]:
        """Join maps (N, C_i, H / 2^i, W / 2^i) to (N, C_start, H / 2^start, ...)."""
        levels = len(self.in_channels)
        expected = levels - self.start_level
        check_num_maps(inputs, levels, expected)
        maps = list(inputs[-expected:])
        finest = [maps[-1]]
        for count, aggregate in enumerate(self.dla_up, 2):
            maps[1 - count :] = aggregate(maps[-count:])
            finest.insert(0, maps[-1])
        return (self.ida_up(finest[: self.final_maps])[-1],)
