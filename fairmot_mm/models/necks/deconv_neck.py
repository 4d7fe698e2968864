from collections.abc import Sequence
from itertools import pairwise

from mmengine.model import BaseModule
from torch import Tensor, nn

from fairmot_mm.registry import MODELS

from ..layers.deconv import DeconvStage


@MODELS.register_module()
class DeconvNeck(BaseModule):
    """The coarsest map upsampled by deformable and transposed convolutions.

    FairMOT's ``resdcn`` (arXiv:2004.01888), which is CenterNet's neck for a ResNet.
    ``mmdet.CTResNetNeck`` lacks biases of the reference implementation's weights and
    needs MMCV's compiled operator.

    Args:
        in_channels: Channels of the last map that comes in.
        channels: Channels after each stage; each doubles the map.
    """

    def __init__(
        self,
        in_channels: int,
        channels: Sequence[int] = (256, 128, 64),
        norm_cfg: dict | None = None,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(init_cfg)
        norm_cfg = norm_cfg or dict(type="BN")
        self.in_channels = in_channels
        self.out_channels = channels[-1]
        widths = pairwise((in_channels, *channels))
        self.stages = nn.Sequential(*(DeconvStage(a, b, norm_cfg) for a, b in widths))

    def forward(self, inputs: Sequence[Tensor]) -> tuple[Tensor]:
        """Map the last map (N, C_in, H / 32, W / 32) to (N, C_out, H / 4, W / 4)."""
        return (self.stages(inputs[-1]),)
