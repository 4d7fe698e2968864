from typing import cast

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
    """

    def __init__(
        self,
        in_channels: int,
        feat_channels: int,
        out_channels: int,
        act_cfg: dict | None = None,
    ) -> None:
        super().__init__(
            nn.Conv2d(in_channels, feat_channels, 3, padding=1),
            build_activation_layer(dict(act_cfg or dict(type="ReLU"), inplace=True)),
            nn.Conv2d(feat_channels, out_channels, 1),
        )
        for conv in (self.first, self.last):
            nn.init.zeros_(conv.get_parameter("bias"))

    @property
    def first(self) -> nn.Conv2d:
        """The 3x3 convolution."""
        return cast("nn.Conv2d", self[0])

    @property
    def last(self) -> nn.Conv2d:
        """The 1x1 convolution."""
        return cast("nn.Conv2d", self[2])

    def forward(self, x: Tensor) -> Tensor:
        """Compute the whole map (N, C_out, h, w) from ``x`` (N, C_in, h, w)."""
        if not torch.is_autocast_enabled(x.device.type):
            # Backbone and neck may be of lower precision for inference.
            x = x.to(self.first.weight.dtype)
        return super().forward(x)

    def at(self, x: Tensor, image: Tensor, cell: Tensor) -> Tensor:
        """Compute the branch at some cells alone.

        Training and tracking read size, offset and embedding at a few of tens of
        thousands of cells.

        Args:
            x: Map (N, C_in, h, w).
            image: (...) index of the image in the batch.
            cell: (...) flat index ``y * w + x``.

        Returns:
            (..., C_out), the whole map's values there.
        """
        height, width = x.shape[-2:]
        step = torch.arange(-1, 2, device=cell.device)
        rows = ((cell // width)[..., None] + step)[..., :, None]
        columns = ((cell % width)[..., None] + step)[..., None, :]
        inside = (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)
        surroundings = x[
            image[..., None, None],
            :,
            rows.clamp(0, height - 1),
            columns.clamp(0, width - 1),
        ]
        surroundings = surroundings.masked_fill(~inside[..., None], 0)
        weight = self.first.weight.permute(0, 2, 3, 1).flatten(1)
        surroundings = surroundings.flatten(-3).to(weight.dtype)
        hidden = self[1](F.linear(surroundings, weight, self.first.bias))
        return F.linear(hidden, self.last.weight.flatten(1), self.last.bias)
