import pytest
import torch
from mmcv.cnn import build_conv_layer
from torch import nn
from torchvision.ops import deform_conv2d

from fairmot_mm.models.layers import DCNv2, gathered_deform_conv2d

GEOMETRIES = [
    dict(kernel_size=3, padding=1),
    dict(kernel_size=3, stride=2, padding=2, dilation=2, deform_groups=2),
    dict(kernel_size=3, padding=1, groups=4),
    dict(kernel_size=3, padding=1, groups=2, deform_groups=4, bias=False),
    dict(kernel_size=(3, 5), stride=(1, 2), padding=(0, 3)),
    dict(kernel_size=1),
]


def layer(spread: float = 0.7, **geometry) -> DCNv2:
    """A layer whose samples fall on, between and outside the cells of its map."""
    torch.manual_seed(0)
    conv = DCNv2(8, 12, **geometry)
    nn.init.normal_(conv.conv_offset.weight, std=spread)
    nn.init.normal_(conv.conv_offset.bias, std=spread)
    return conv


@pytest.mark.parametrize("geometry", GEOMETRIES)
def test_gather_equals_torchvision_forward_and_backward(geometry):
    conv = layer(**geometry)
    image = torch.randn(3, 8, 11, 14, requires_grad=True)
    results = []
    for backend in ("torchvision", "gather"):
        conv.backend = backend
        conv.zero_grad()
        image.grad = None
        out = conv(image)
        (out * torch.arange(out.numel()).view_as(out).sin()).sum().backward()
        gradients = [p.grad.clone() for p in conv.parameters()]
        results.append([out.detach(), image.grad.clone(), *gradients])
    for expected, given in zip(*results, strict=True):
        error = (given - expected).abs().max() / expected.abs().max()
        assert error < 1e-5


def test_offsets_far_outside_the_map_sample_zero():
    image = torch.ones(1, 1, 4, 4)
    offset = torch.full((1, 2, 4, 4), 1e9)
    offset[:, :, 2:] = -1e9
    ones = torch.ones(1, 1, 1, 1)
    out = gathered_deform_conv2d(
        image, offset, ones.expand(1, 1, 4, 4), ones, None, (1, 1), (0, 0), (1, 1)
    )
    assert torch.equal(out, torch.zeros(1, 1, 4, 4))


def test_half_a_cell_outside_samples_half():
    image = torch.ones(1, 1, 3, 3)
    offset = torch.zeros(1, 2, 3, 3)
    offset[:, 0] = -0.5  # half a cell up: the first row reaches half outside
    ones = torch.ones(1, 1, 1, 1)
    arguments = (offset, ones.expand(1, 1, 3, 3), ones, None, (1, 1), (0, 0), (1, 1))
    out = gathered_deform_conv2d(image, *arguments)
    assert out[0, 0].tolist() == [[0.5] * 3, [1.0] * 3, [1.0] * 3]


def test_gradients_are_those_of_finite_differences():
    conv = layer(spread=0.1, kernel_size=3, padding=1).double()
    conv.backend = "gather"
    image = torch.randn(1, 8, 3, 4, dtype=torch.double, requires_grad=True)
    assert torch.autograd.gradcheck(conv, (image,), atol=1e-6)


def test_fresh_layer_is_half_a_plain_convolution():
    conv = DCNv2(4, 6, 3, padding=1)
    image = torch.randn(2, 4, 5, 7)
    plain = nn.functional.conv2d(image, conv.weight * 0.5, conv.bias, padding=1)
    assert torch.allclose(conv(image), plain, atol=1e-6)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_autocast_keeps_sampling_positions_precise(dtype):
    # On a map this wide a position in half precision is off by whole cells.
    conv = layer(spread=0.05, kernel_size=3, padding=1)
    image = torch.randn(1, 8, 4, 600)
    exact = conv(image)
    with torch.autocast("cpu", dtype):
        out = conv(image)
        out.float().square().mean().backward()
    assert out.dtype == dtype
    assert (out.float() - exact).abs().max() < 0.03 * exact.abs().max()
    assert all(p.grad.isfinite().all() for p in conv.parameters())


def test_offsets_are_read_as_torchvision_reads_them():
    conv = layer(kernel_size=3, padding=1)
    image = torch.randn(1, 8, 6, 6)
    first, second, mask = conv.conv_offset(image).chunk(3, 1)
    expected = deform_conv2d(
        image,
        torch.cat((first, second), 1),
        conv.weight,
        conv.bias,
        padding=1,
        mask=mask.sigmoid(),
    )
    assert torch.allclose(conv(image), expected, atol=1e-5)


def test_is_a_convolution_layer_of_the_toolboxes():
    conv = build_conv_layer(dict(type="fairmot_mm.DCNv2"), 3, 5, 3, padding=1)
    assert isinstance(conv, DCNv2)
    assert conv(torch.randn(1, 3, 4, 4)).shape == (1, 5, 4, 4)


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (dict(backend="cuda"), "backend"),
        (dict(groups=3), "groups"),
        (dict(deform_groups=3), "deform_groups"),
    ],
)
def test_wrong_arguments_are_named(arguments, named):
    with pytest.raises(ValueError, match=named):
        DCNv2(8, 12, 3, **arguments)
