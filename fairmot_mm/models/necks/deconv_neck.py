from collections.abc import Sequence

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
        norm_cfg: Normalisation layer.
        init_cfg: MMEngine's initialisation.
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
        self.out_channels = channels[-1]
        self.stages = nn.Sequential(
            *(
                DeconvStage(before, after, norm_cfg)
                for before, after in zip(
                    (in_channels, *channels[:-1]), channels, strict=True
                )
            )
        )

    def forward(self, inputs: Sequence[Tensor]) -> tuple[Tensor]:
        """Upsample the last map.

        Args:
            inputs: Maps, the last one (N, C_in, H / 32, W / 32).

        Returns:
            One map (N, C_out, H / 4, W / 4).
        """
        return (self.stages(inputs[-1]),)
