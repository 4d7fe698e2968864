import torch
from mmengine.model import constant_init
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.modules.utils import _pair
from torchvision.ops import deform_conv2d

from fairmot_mm.registry import MODELS


def _sample_columns(
    x: Tensor,
    offset: Tensor,
    mask: Tensor,
    kernel_size: tuple[int, int],
    stride: tuple[int, int],
    padding: tuple[int, int],
    dilation: tuple[int, int],
) -> Tensor:
    """Gather the bilinear samples of one deformable group as rows.

    ``embedding_bag`` over the rows of a channels-last map reads each of the four
    neighbours of a sample as one contiguous run of channels, which is what makes
    this several times faster on a CPU than a loop over channels.

    Args:
        x (Tensor): Map of shape (N, C, H, W).
        offset (Tensor): (N, 2 * K, Ho, Wo), interleaved (dy, dx) per kernel point, in
            pixels, of at least single precision.
        mask (Tensor): (N, K, Ho, Wo) modulation in [0, 1].
        kernel_size (tuple[int, int]): Kernel height and width; K is their product.
        stride (tuple[int, int]): Vertical and horizontal stride.
        padding (tuple[int, int]): Vertical and horizontal zero padding.
        dilation (tuple[int, int]): Vertical and horizontal dilation.

    Returns:
        Tensor: Samples of shape (N * Ho * Wo, K, C) in the type of ``x``.
    """
    batch, channels, height, width = x.shape
    out_h, out_w = offset.shape[-2:]
    points = kernel_size[0] * kernel_size[1]

    def grid(length: int, axis: int) -> Tensor:
        return torch.arange(length, device=x.device) * stride[axis] - padding[axis]

    kernel_y, kernel_x = torch.meshgrid(
        torch.arange(kernel_size[0], device=x.device) * dilation[0],
        torch.arange(kernel_size[1], device=x.device) * dilation[1],
        indexing="ij",
    )
    # (N, Ho, Wo, K, 2)
    offset = offset.view(batch, points, 2, out_h, out_w).permute(0, 3, 4, 1, 2)
    y = offset[..., 0] + (grid(out_h, 0)[:, None, None] + kernel_y.flatten())
    x_ = offset[..., 1] + (grid(out_w, 1)[None, :, None] + kernel_x.flatten())
    # Whatever lies further out samples zero anyway; clamping keeps the integer
    # arithmetic below in range for any offset the network may produce.
    y = y.clamp(-1, height)
    x_ = x_.clamp(-1, width)
    top, left = y.floor(), x_.floor()
    fraction_y, fraction_x = y - top, x_ - left
    mask = mask.permute(0, 2, 3, 1)

    image = torch.arange(batch, device=x.device, dtype=torch.int32) * (height * width)
    image = image.view(-1, 1, 1, 1)
    indices, weights = [], []
    for step_y, weight_y in ((0, 1 - fraction_y), (1, fraction_y)):
        row = top.int() + step_y
        weight_y = weight_y * mask * ((row >= 0) & (row < height))
        row = image + row.clamp(0, height - 1) * width
        for step_x, weight_x in ((0, 1 - fraction_x), (1, fraction_x)):
            column = left.int() + step_x
            inside = (column >= 0) & (column < width)
            weights.append(weight_y * weight_x * inside)
            indices.append(row + column.clamp(0, width - 1))
    rows = x.permute(0, 2, 3, 1).reshape(-1, channels)
    samples = F.embedding_bag(
        torch.stack(indices, dim=-1).view(-1, 4),
        rows,
        per_sample_weights=torch.stack(weights, dim=-1).view(-1, 4).to(rows.dtype),
        mode="sum",
    )
    return samples.view(-1, points, channels)


def gathered_deform_conv2d(
    x: Tensor,
    offset: Tensor,
    mask: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: tuple[int, int],
    padding: tuple[int, int],
    dilation: tuple[int, int],
) -> Tensor:
    """Modulated deformable convolution by row gathering and one matrix product.

    Same operator as :func:`torchvision.ops.deform_conv2d` (DCNv2, Zhu et al., CVPR
    2019, eq. 1); on a CPU several times faster, forward and backward.

    Args:
        x (Tensor): Map of shape (N, C, H, W).
        offset (Tensor): (N, 2 * G * K, Ho, Wo) in pixels, G deformable groups, of at
            least single precision whatever ``x`` has.
        mask (Tensor): (N, G * K, Ho, Wo) in [0, 1].
        weight (Tensor): (C_out, C / groups, kh, kw).
        bias (Tensor | None): (C_out,).
        stride (tuple[int, int]): Vertical and horizontal stride.
        padding (tuple[int, int]): Vertical and horizontal zero padding.
        dilation (tuple[int, int]): Vertical and horizontal dilation.

    Returns:
        Tensor: (N, C_out, Ho, Wo), channels-last in memory.
    """
    batch, channels = x.shape[:2]
    out_channels, group_channels, *kernel_size = weight.shape
    groups = channels // group_channels
    points = kernel_size[0] * kernel_size[1]
    deform_groups = mask.shape[1] // points
    groups_of_samples = [
        _sample_columns(*parts, kernel_size, stride, padding, dilation)
        for parts in zip(
            x.chunk(deform_groups, 1),
            offset.chunk(deform_groups, 1),
            mask.chunk(deform_groups, 1),
            strict=True,
        )
    ]
    # The samples are by far the largest tensor here: no copy of them in the usual case.
    samples = (
        groups_of_samples[0]
        if deform_groups == 1
        else torch.cat(groups_of_samples, dim=-1)
    )
    # Kernel points before channels, as the samples lie in memory.
    weight = weight.to(samples.dtype).permute(0, 2, 3, 1)
    if bias is not None:
        bias = bias.to(samples.dtype)
    if groups == 1:
        out = F.linear(samples.flatten(1), weight.reshape(out_channels, -1), bias)
    else:
        out = torch.einsum(
            "mkgc,gokc->mgo",
            samples.unflatten(-1, (groups, group_channels)),
            weight.reshape(groups, -1, points, group_channels),
        ).flatten(1)
        if bias is not None:
            out = out + bias
    out_h, out_w = offset.shape[-2:]
    return out.view(batch, out_h, out_w, out_channels).permute(0, 3, 1, 2)


@MODELS.register_module()
class DCNv2(nn.Module):
    """Modulated deformable convolution with its offset branch (DCNv2).

    A convolution layer of the toolboxes: ``conv_cfg=dict(type='fairmot_mm.DCNv2')``.
    The offset branch starts at zero, so that a fresh layer samples the regular grid
    with a modulation of 0.5 (Zhu et al., *Deformable ConvNets v2*, CVPR 2019).

    Args:
        in_channels (int): Channels of the input map.
        out_channels (int): Channels of the output map.
        kernel_size (int | tuple[int, int]): Kernel height and width.
        stride (int | tuple[int, int]): Stride.
        padding (int | tuple[int, int]): Zero padding in pixels.
        dilation (int | tuple[int, int]): Dilation.
        groups (int): Groups of the convolution.
        deform_groups (int): Groups of channels with offsets of their own.
        bias (bool): Whether the convolution has a bias.
        backend (str): ``torchvision``, ``gather`` (fast on a CPU) or ``auto``, which
            takes ``gather`` for tensors on a CPU and ``torchvision`` elsewhere.
    """

    BACKENDS = ("auto", "torchvision", "gather")

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
        super().__init__()
        if backend not in self.BACKENDS:
            raise ValueError(f"backend={backend!r}: choose one of {self.BACKENDS}")
        for key, value in (("groups", groups), ("deform_groups", deform_groups)):
            if in_channels % value:
                raise ValueError(f"{key}={value} does not divide {in_channels=}")
        # The attributes ConvModule reads off any convolution.
        self.in_channels, self.out_channels = in_channels, out_channels
        self.groups, self.transposed, self.output_padding = groups, False, _pair(0)
        self.kernel_size = _pair(kernel_size)
        self.stride = _pair(stride)
        self.padding = _pair(padding)
        self.dilation = _pair(dilation)
        self.deform_groups = deform_groups
        self.backend = backend
        reference = nn.Conv2d(
            in_channels, out_channels, self.kernel_size, groups=groups, bias=bias
        )
        self.weight, self.bias = reference.weight, reference.bias
        self.conv_offset = nn.Conv2d(
            in_channels,
            3 * deform_groups * self.kernel_size[0] * self.kernel_size[1],
            self.kernel_size,
            self.stride,
            self.padding,
            self.dilation,
        )
        self.init_weights()

    def init_weights(self) -> None:
        """Let the offset branch start on the regular grid."""
        constant_init(self.conv_offset, 0)

    def forward(self, x: Tensor) -> Tensor:
        """Convolve (N, C, H, W) to (N, C_out, Ho, Wo)."""
        # Sampling positions keep single precision under autocast: the eight bits of a
        # bfloat16 are whole pixels on a map of this size.
        with torch.autocast(x.device.type, enabled=False):
            precise = x.to(torch.promote_types(x.dtype, torch.float32))
            offset_y, offset_x, mask = self.conv_offset(precise).chunk(3, dim=1)
        # The published operator reads these two thirds as interleaved (dy, dx) pairs.
        offset = torch.cat((offset_y, offset_x), dim=1)
        mask = mask.sigmoid()
        if torch.is_autocast_enabled(x.device.type):
            x = x.to(torch.get_autocast_dtype(x.device.type))
        geometry = (self.stride, self.padding, self.dilation)
        if self.backend == "gather" or (self.backend == "auto" and x.is_cpu):
            return gathered_deform_conv2d(
                x, offset, mask, self.weight, self.bias, *geometry
            )
        with torch.autocast(x.device.type, enabled=False):
            out = deform_conv2d(
                precise, offset, self.weight, self.bias, *geometry, mask
            )
        return out.to(x.dtype)
