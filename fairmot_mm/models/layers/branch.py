import torch
from mmcv.cnn import build_activation_layer
from torch import Tensor, nn
from torch.nn import functional as F


class ConvBranch(nn.Sequential):
    """Branch of a head: 3x3 convolution, activation, 1x1 convolution, biases at zero.

    Args:
        in_channels: Channels of the map that comes in.
        feat_channels: Channels between the convolutions.
        out_channels: Channels of the map that goes out.
        act_cfg: Activation layer; ReLU if None.

    Raises:
        ValueError: If a number of channels is not positive.
    """

    def __init__(
        self,
        in_channels: int,
        feat_channels: int,
        out_channels: int,
        act_cfg: dict | None = None,
    ) -> None:
        channels = dict(in_channels=in_channels, feat_channels=feat_channels)
        for name, count in (channels | dict(out_channels=out_channels)).items():
            if not isinstance(count, int) or count < 1:
                raise ValueError(f"{name}={count!r}, expected a positive number")
        super().__init__(
            nn.Conv2d(in_channels, feat_channels, 3, padding=1),
            build_activation_layer(dict(act_cfg or dict(type="ReLU"), inplace=True)),
            nn.Conv2d(feat_channels, out_channels, 1),
        )
        for conv in (self[0], self[2]):
            nn.init.zeros_(conv.get_parameter("bias"))

    def forward(self, x: Tensor) -> Tensor:
        """Compute the whole map (N, C_out, h, w) from ``x`` (N, C_in, h, w)."""
        if not torch.is_autocast_enabled(x.device.type):
            # Backbone and neck may be of lower precision for inference.
            x = x.to(self[0].get_parameter("weight").dtype)
        return super().forward(x)

    def at(self, x: Tensor, image: Tensor, cell: Tensor) -> Tensor:
        """Compute (..., C_out) from ``x`` (N, C_in, h, w) at some cells alone.

        Training and tracking read size, offset and embedding at a few of tens of
        thousands of cells. ``image`` and ``cell``: see :func:`gather_cells`.
        """
        height, width = x.shape[-2:]
        step = torch.arange(-1, 2, device=cell.device)
        rows = ((cell // width)[..., None] + step)[..., :, None]
        columns = ((cell % width)[..., None] + step)[..., None, :]
        inside = (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)
        rows, columns = rows.clamp(0, height - 1), columns.clamp(0, width - 1)
        surroundings = x[image[..., None, None], :, rows, columns]
        surroundings = surroundings.masked_fill(~inside[..., None], 0)
        first, activation, last = self
        weight = first.get_parameter("weight").permute(0, 2, 3, 1).flatten(1)
        surroundings = surroundings.flatten(-3).to(weight.dtype)
        bias = first.get_parameter("bias")
        hidden = activation(F.linear(surroundings, weight, bias))
        weight, bias = last.get_parameter("weight"), last.get_parameter("bias")
        return F.linear(hidden, weight.flatten(1), bias)
