import pytest
import torch
from torch import nn

from fairmot_mm.models import ConcatNeck, CSPNeck, DCNv2, DeconvFPNNeck, DeconvNeck

CHANNELS = (8, 16, 32, 64)


def maps(count: int = 4) -> list[torch.Tensor]:
    return [torch.randn(2, CHANNELS[i], 16 >> i, 24 >> i) for i in range(count)]


@pytest.mark.parametrize(
    ("neck", "channels"),
    [
        (DeconvNeck(64, (32, 16, 8)), 8),
        (DeconvFPNNeck(CHANNELS, (32, 16, 8)), 8),
        (ConcatNeck(CHANNELS), 120),
        (CSPNeck(CHANNELS), 8),
    ],
    ids=lambda value: type(value).__name__,
)
def test_one_map_of_the_finest_size(neck, channels):
    inputs = [m.requires_grad_() for m in maps()]
    (out,) = neck(inputs)
    assert out.shape == (2, channels, 16, 24)
    assert neck.out_channels == channels
    out.square().mean().backward()
    assert inputs[-1].grad.abs().sum() > 0
    assert all(p.grad is not None for p in neck.parameters())


def test_deformable_convolutions():
    def count(neck: nn.Module) -> int:
        return sum(isinstance(m, DCNv2) for m in neck.modules())

    assert count(DeconvNeck(64)) == 3
    assert count(DeconvFPNNeck()) == 9


def test_deconvolution_starts_bilinear_on_its_first_channel():
    (stage,) = DeconvNeck(8, (4,)).stages
    line = torch.tensor([0.25, 0.75, 0.75, 0.25])
    kernels = stage.deconv.conv.weight[:, 0]
    assert torch.equal(kernels, (line[:, None] * line).expand(4, 4, 4))


def test_finest_map_comes_through_unchanged():
    inputs = maps()
    (out,) = ConcatNeck(CHANNELS)(inputs)
    assert torch.equal(out[:, :8], inputs[0])
    flat = [torch.full_like(m, i) for i, m in enumerate(inputs)]
    (out,) = ConcatNeck(CHANNELS)(flat)
    assert torch.equal(out[:, -1], torch.full((2, 16, 24), 3.0))


@pytest.mark.parametrize("neck", [DeconvFPNNeck(CHANNELS), ConcatNeck(CHANNELS)])
def test_other_number_of_maps_is_named(neck):
    with pytest.raises(ValueError, match="3 maps came in, the neck was built for 4"):
        neck(maps(3))


def test_channels_that_do_not_pair_are_named():
    with pytest.raises(ValueError, match="one map more"):
        DeconvFPNNeck(CHANNELS, (32, 16))
