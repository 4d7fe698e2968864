import torch
from mmcv.cnn import ConvModule
from mmengine.model import BaseModule
from torch import Tensor

from .bilinear import bilinear_kernel


def deform_conv(in_channels: int, out_channels: int, norm_cfg: dict) -> ConvModule:
    """3x3 deformable convolution with its bias, normalisation and ReLU."""
    conv_cfg = dict(type="fairmot_mm.DCNv2")
    layers = dict(conv_cfg=conv_cfg, norm_cfg=norm_cfg)
    return ConvModule(in_channels, out_channels, 3, padding=1, bias=True, **layers)


class DeconvStage(BaseModule):
    """Deformable convolution, then a deconvolution that doubles the map.

    One stage of the upsampling of CenterNet's and FairMOT's ResNets (Zhou et al.,
    arXiv:1904.07850, appendix A). Maps (N, C_in, H, W) to (N, C_out, 2 H, 2 W).
    """

    def __init__(self, in_channels: int, out_channels: int, norm_cfg: dict) -> None:
        super().__init__()
        self.conv = deform_conv(in_channels, out_channels, norm_cfg)
        layers = dict(conv_cfg=dict(type="deconv"), norm_cfg=norm_cfg)
        self.deconv = ConvModule(out_channels, out_channels, 4, 2, 1, **layers)
        # As in the reference implementation: the kernels of the first output channel
        # start as bilinear interpolation, the others at random.
        with torch.no_grad():
            self.deconv.conv.weight[:, 0] = bilinear_kernel(2)

    def forward(self, x: Tensor) -> Tensor:
        """Convolve and double the map."""
        return self.deconv(self.conv(x))
