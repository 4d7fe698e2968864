from collections.abc import Sequence
from functools import partial

import torch
from mmcv.cnn import ConvModule
from mmengine.model import BaseModule
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from fairmot_mm.registry import MODELS


class BasicBlock(BaseModule):
    """Two 3x3 convolutions, the first with the stride, around a given shortcut."""

    def __init__(
        self, in_channels: int, out_channels: int, stride: int, norm_cfg: dict
    ) -> None:
        super().__init__()
        conv = partial(ConvModule, kernel_size=3, padding=1, norm_cfg=norm_cfg)
        self.conv1 = conv(in_channels, out_channels, stride=stride)
        self.conv2 = conv(out_channels, out_channels, act_cfg=None)

    def forward(self, x: Tensor, shortcut: Tensor | None = None) -> Tensor:
        """Map (N, C_in, H, W) to (N, C_out, H / stride, W / stride)."""
        shortcut = x if shortcut is None else shortcut
        return (self.conv2(self.conv1(x)) + shortcut).relu_()


class Tree(BaseModule):
    """Hierarchical aggregation of two subtrees (Yu et al., section 3.2).

    A tree of one level joins two blocks by a 1x1 convolution, its root, which sees the
    (pooled) input as well if ``with_input``. A tree of more levels hands all maps made
    so far down to the one root in its last subtree, ``root_channels`` in all.
    """

    def __init__(
        self,
        levels: int,
        in_channels: int,
        out_channels: int,
        stride: int,
        norm_cfg: dict,
        with_input: bool = False,
        root_channels: int = 0,
    ) -> None:
        super().__init__()
        self.with_input = with_input
        self.is_leaf = levels == 1
        self.pool = nn.MaxPool2d(stride) if stride > 1 else nn.Identity()
        if with_input:
            root_channels += in_channels
        if not self.is_leaf:
            self.tree1 = Tree(levels - 1, in_channels, out_channels, stride, norm_cfg)
            self.tree2 = Tree(
                levels - 1,
                out_channels,
                out_channels,
                1,
                norm_cfg,
                root_channels=root_channels + out_channels,
            )
            return
        self.tree1 = BasicBlock(in_channels, out_channels, stride, norm_cfg)
        self.tree2 = BasicBlock(out_channels, out_channels, 1, norm_cfg)
        conv = partial(ConvModule, kernel_size=1, norm_cfg=norm_cfg)
        self.root = conv(2 * out_channels + root_channels, out_channels)
        self.project = nn.Identity()
        if in_channels != out_channels:
            self.project = conv(in_channels, out_channels, act_cfg=None)

    def forward(self, x: Tensor, passed_down: Sequence[Tensor] = ()) -> Tensor:
        """Map (N, C_in, H, W) to (N, C_out, H / stride, W / stride)."""
        pooled = self.pool(x)
        if self.with_input:
            passed_down = (*passed_down, pooled)
        if not self.is_leaf:
            first = self.tree1(x)
            return self.tree2(first, (*passed_down, first))
        first = self.tree1(x, self.project(pooled))
        second = self.tree2(first)
        return self.root(torch.cat((second, first, *passed_down), dim=1))


@MODELS.register_module()
class DLANet(BaseModule):
    """Deep layer aggregation backbone (Yu et al., CVPR 2018, arXiv:1707.06484).

    Level ``i`` has stride ``2 ** i``; all six levels of DLA-34 carry 16, 32, 64, 128,
    256 and 512 channels.

    Args:
        depth: Only 34, which FairMOT uses, is defined.
        out_indices: Levels that are returned, each in 0..5.
        frozen_stages: Levels up to this one are not trained and their normalisation
            layers keep their statistics; -1 trains everything.
        norm_eval: Whether all normalisation layers keep their statistics in training.
    """

    arch_settings = {34: ((1, 1, 1, 2, 2, 1), (16, 32, 64, 128, 256, 512))}  # noqa: RUF012

    def __init__(
        self,
        depth: int = 34,
        in_channels: int = 3,
        out_indices: Sequence[int] = (0, 1, 2, 3, 4, 5),
        frozen_stages: int = -1,
        norm_cfg: dict | None = None,
        norm_eval: bool = False,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(init_cfg)
        if depth not in self.arch_settings:
            raise ValueError(f"{depth=}: choose one of {tuple(self.arch_settings)}")
        levels, channels = self.arch_settings[depth]
        if not out_indices or not all(0 <= i < len(levels) for i in out_indices):
            raise ValueError(f"{out_indices=}: each must be in 0..{len(levels) - 1}")
        self.out_indices = tuple(out_indices)
        self.out_channels = tuple(channels[i] for i in self.out_indices)
        self.frozen_stages = frozen_stages
        self.norm_eval = norm_eval
        norm_cfg = norm_cfg or dict(type="BN")

        conv = partial(ConvModule, norm_cfg=norm_cfg)
        self.base_layer = conv(in_channels, channels[0], 7, padding=3)
        # Levels beyond the last requested one are not built: distributed training
        # refuses parameters without a gradient.
        self.num_levels = max(self.out_indices) + 1
        for i in range(self.num_levels):
            sides = channels[max(i - 1, 0)], channels[i]
            if i < 2:
                layer = conv(*sides, 3, i + 1, padding=1)
            else:
                layer = Tree(levels[i], *sides, 2, norm_cfg, with_input=i > 2)
            self.add_module(f"level{i}", layer)
        self._freeze()

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """Map images (N, C, H, W) to maps (N, C_i, H / 2^i, W / 2^i).

        Raises:
            ValueError: If H or W is no multiple of the coarsest stride.
        """
        stride = 2 ** (self.num_levels - 1)
        if x.shape[-2] % stride or x.shape[-1] % stride:
            raise ValueError(
                f"an input of {x.shape[-1]}x{x.shape[-2]} pixels does not divide by "
                f"the network's stride of {stride}: letterbox to multiples of it"
            )
        outs = []
        x = self.base_layer(x)
        for i in range(self.num_levels):
            x = self.get_submodule(f"level{i}")(x)
            if i in self.out_indices:
                outs.append(x)
        return tuple(outs)

    def train(self, mode: bool = True) -> "DLANet":
        """Switch the mode, keeping frozen parts in evaluation mode."""
        super().train(mode)
        if mode:
            self._freeze()
        for module in self.modules():
            if self.norm_eval and isinstance(module, _BatchNorm):
                module.eval()
        return self

    def _freeze(self) -> None:
        if self.frozen_stages < 0:
            return
        last = min(self.frozen_stages, self.num_levels - 1)
        levels = [self.get_submodule(f"level{i}") for i in range(last + 1)]
        for module in (self.base_layer, *levels):
            module.eval().requires_grad_(False)
