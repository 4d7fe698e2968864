import torch
from torch import Tensor, nn
from torch.nn import functional as F


class BilinearUpsample(nn.ConvTranspose2d):
    """Learned upsampling, channel by channel, that starts as bilinear interpolation.

    Maps (N, C, H, W) to (N, C, factor * H, factor * W).

    Args:
        channels (int): Channels of the map.
        factor (int): Upsampling factor, even.
    """

    def __init__(self, channels: int, factor: int) -> None:
        super().__init__(
            channels,
            channels,
            2 * factor,
            stride=factor,
            padding=factor // 2,
            groups=channels,
            bias=False,
        )
        self.init_weights()

    def forward(self, x: Tensor) -> Tensor:
        """Upsample (N, C, H, W) to (N, C, factor * H, factor * W)."""
        if not x.is_cpu or x.dtype.itemsize >= 4:
            return super().forward(x)
        # On a CPU, this operator in half precision takes many times as long.
        with torch.autocast("cpu", enabled=False):
            out = F.conv_transpose2d(
                x.float(),
                self.weight.float(),
                stride=self.stride,
                padding=self.padding,
                groups=self.groups,
            )
        return out.to(x.dtype)

    def init_weights(self) -> None:
        """Set the bilinear kernel (Long et al., CVPR 2015, section 3.3)."""
        (size, _), (factor, _) = self.kernel_size, self.stride
        distance = (torch.arange(size) - (size - 1) / 2).abs() / factor
        line = 1 - distance
        with torch.no_grad():
            self.weight.copy_(line[:, None] * line)
