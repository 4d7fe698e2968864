import torch
from torch import Tensor, nn
from torch.nn import functional as F


def bilinear_kernel(factor: int) -> Tensor:
    """Kernel that upsamples bilinearly (Long et al., CVPR 2015, section 3.3).

    Of size (2 * factor, 2 * factor), for a stride of ``factor``, which is even.
    """
    distance = (torch.arange(2 * factor) - factor + 0.5).abs() / factor
    line = 1 - distance
    return line[:, None] * line


class BilinearUpsample(nn.ConvTranspose2d):
    """Learned upsampling, channel by channel, that starts as bilinear interpolation.

    The ``factor`` is even.
    """

    def __init__(self, channels: int, factor: int) -> None:
        self.factor = factor
        size, pad = 2 * factor, factor // 2
        super().__init__(
            channels, channels, size, factor, pad, groups=channels, bias=False
        )
        self.init_weights()

    def forward(self, input: Tensor, output_size: list[int] | None = None) -> Tensor:
        """Upsample (N, C, H, W) to (N, C, factor * H, factor * W)."""
        if not input.is_cpu or input.dtype.itemsize >= 4:
            return super().forward(input, output_size)
        # On a CPU, this operator in half precision takes many times as long.
        with torch.autocast("cpu", enabled=False):
            x, weight, pad = input.float(), self.weight.float(), self.factor // 2
            out = F.conv_transpose2d(
                x, weight, None, self.factor, pad, groups=self.groups
            )
        return out.to(input.dtype)

    def init_weights(self) -> None:
        """Set the bilinear kernel."""
        with torch.no_grad():
            self.weight.copy_(bilinear_kernel(self.factor))
