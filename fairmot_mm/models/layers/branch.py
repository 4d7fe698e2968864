from torch import nn


def conv_branch(in_channels: int, feat_channels: int, out_channels: int) -> nn.Module:
    """Branch of a head: 3x3 convolution, ReLU, 1x1 convolution, biases at zero.

    Args:
        in_channels (int): Channels of the map that comes in.
        feat_channels (int): Channels between the convolutions.
        out_channels (int): Channels of the map that goes out.

    Returns:
        nn.Module: Maps (N, C_in, h, w) to (N, C_out, h, w).
    """
    branch = nn.Sequential(
        nn.Conv2d(in_channels, feat_channels, 3, padding=1),
        nn.ReLU(inplace=True),
        nn.Conv2d(feat_channels, out_channels, 1),
    )
    nn.init.zeros_(branch[0].bias)
    nn.init.zeros_(branch[-1].bias)
    return branch
