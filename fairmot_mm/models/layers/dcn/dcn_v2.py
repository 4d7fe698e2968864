import torch
from mmengine.model import constant_init
from torch import Tensor, nn
from torchvision.ops import deform_conv2d

from fairmot_mm.registry import MODELS

from .cpu_operator import sampled_deform_conv2d


@MODELS.register_module()
class DCNv2(nn.Conv2d):
    """Modulated deformable convolution with its offset branch (DCNv2).

    A convolution layer of the toolboxes: ``conv_cfg=dict(type='fairmot_mm.DCNv2')``.
    The offset branch starts at zero, so that a fresh layer samples the regular grid
    with a modulation of 0.5 (Zhu et al., *Deformable ConvNets v2*, CVPR 2019).

    Args beyond those of ``nn.Conv2d``:
        deform_groups: Groups of channels with offsets of their own.
        backend: ``torchvision``, ``cpu`` (see :func:`sampled_deform_conv2d`) or
            ``auto``, which takes ``cpu`` for tensors there and ``torchvision``
            elsewhere.
    """

    BACKENDS = ("auto", "torchvision", "cpu")

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | tuple[int, int],
        stride: int | tuple[int, int] = 1,
        padding: int | tuple[int, int] = 0,
        dilation: int | tuple[int, int] = 1,
        groups: int = 1,
        deform_groups: int = 1,
        bias: bool = True,
        backend: str = "auto",
    ) -> None:
        geometry = (kernel_size, stride, padding, dilation)
        super().__init__(in_channels, out_channels, *geometry, groups, bias)
        if backend not in self.BACKENDS:
            raise ValueError(f"backend={backend!r}: choose one of {self.BACKENDS}")
        if in_channels % deform_groups:
            raise ValueError(f"{deform_groups=} does not divide {in_channels=}")
        self.deform_groups = deform_groups
        self.backend = backend
        maps = 3 * deform_groups * self.kernel_size[0] * self.kernel_size[1]
        self.conv_offset = nn.Conv2d(in_channels, maps, *geometry)
        self.init_weights()

    def init_weights(self) -> None:
        """Let the offset branch start on the regular grid."""
        constant_init(self.conv_offset, 0)

    def forward(self, x: Tensor) -> Tensor:
        """Convolve (N, C, H, W) to (N, C_out, Ho, Wo)."""
        maps = self.conv_offset(x)
        # Positions need single precision: bfloat16's eight bits would round them to
        # whole pixels.
        maps = maps.to(torch.promote_types(maps.dtype, torch.float32)).contiguous()
        # Two thirds are offsets, read as interleaved (dy, dx) pairs.
        offset, mask = maps.tensor_split([maps.shape[1] // 3 * 2], dim=1)
        mask = mask.sigmoid()
        device, dtype = x.device.type, x.dtype
        if torch.is_autocast_enabled(device):
            dtype = torch.get_autocast_dtype(device)
        on_cpu = self.backend == "cpu" or (self.backend == "auto" and x.is_cpu)
        # torchvision's operator needs all its arguments in one type.
        computed = dtype if on_cpu else offset.dtype
        x, weight = x.to(computed), self.weight.to(computed)
        bias = None if self.bias is None else self.bias.to(computed)
        geometry = (self.stride, self.padding, self.dilation)
        if on_cpu:
            return sampled_deform_conv2d(x, offset, mask, weight, bias, *geometry)
        with torch.autocast(device, enabled=False):
            return deform_conv2d(x, offset, weight, bias, *geometry, mask).to(dtype)
