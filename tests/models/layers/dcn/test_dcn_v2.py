import multiprocessing
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from mmcv.cnn import build_conv_layer
from torch import nn
from torchvision.ops import deform_conv2d

from fairmot_mm.models.layers.dcn import DCNv2, cpu_operator, sampled_deform_conv2d

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
def test_cpu_equals_torchvision_forward_and_backward(geometry):
    conv = layer(**geometry)
    image = torch.randn(3, 8, 11, 14, requires_grad=True)
    results = []
    for backend in ("torchvision", "cpu"):
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
    out = sampled_deform_conv2d(
        image, offset, ones.expand(1, 1, 4, 4), ones, None, [1, 1], [0, 0], [1, 1]
    )
    assert torch.equal(out, torch.zeros(1, 1, 4, 4))


def test_half_a_cell_outside_samples_half():
    image = torch.ones(1, 1, 3, 3)
    offset = torch.zeros(1, 2, 3, 3)
    offset[:, 0] = -0.5  # half a cell up: the first row reaches half outside
    ones = torch.ones(1, 1, 1, 1)
    arguments = (offset, ones.expand(1, 1, 3, 3), ones, None, [1, 1], [0, 0], [1, 1])
    out = sampled_deform_conv2d(image, *arguments)
    assert out[0, 0].tolist() == [[0.5] * 3, [1.0] * 3, [1.0] * 3]


def test_gradients_are_those_of_finite_differences():
    conv = layer(spread=0.1, kernel_size=3, padding=1).double()
    conv.backend = "cpu"
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


def test_samples_are_made_in_chunks(monkeypatch):
    conv = layer(kernel_size=3, padding=1)
    image = torch.randn(2, 8, 11, 14)
    whole = conv(image)
    monkeypatch.setattr(cpu_operator, "CHUNK_BYTES", 7 * 9 * 8 * 4)
    monkeypatch.setattr(cpu_operator, "CHUNK_CELLS", 1)
    assert torch.allclose(conv(image), whole, atol=1e-6)


def test_any_number_of_threads_gives_the_same():
    conv = layer(kernel_size=3, padding=1)
    image = torch.randn(2, 8, 11, 14)
    threads = torch.get_num_threads()
    outs = []
    try:
        for count in (1, 2, 3):
            torch.set_num_threads(count)
            outs.append(conv(image))
    finally:
        torch.set_num_threads(threads)
    assert all(torch.allclose(out, outs[0], atol=1e-6) for out in outs)


def test_works_in_several_threads_and_in_a_forked_process():
    conv = layer(kernel_size=3, padding=1).requires_grad_(False)
    image = torch.randn(1, 8, 40, 40)
    expected = conv(image)
    with ThreadPoolExecutor(4) as threads:
        outs = list(threads.map(conv, [image] * 16))
    assert all(torch.allclose(out, expected, atol=1e-6) for out in outs)
    offset, mask = torch.randn(1, 18, 40, 40), torch.rand(1, 9, 40, 40)
    samples = cpu_operator.Samples(image, offset, mask, (3, 3), [1, 1], [1, 1], [1, 1])
    columns = samples.empty()
    here = samples.sample(0, samples.chunk, columns).clone()
    columns.share_memory_().zero_()
    child = multiprocessing.get_context("fork").Process(
        target=samples.sample, args=(0, samples.chunk, columns)
    )
    child.start()
    child.join(60)
    assert child.exitcode == 0
    assert torch.equal(columns, here)


@pytest.mark.parametrize("size", [(9, 12), (11, 14)])
def test_exports_with_its_operator(size):
    conv = layer(kernel_size=3, padding=1).requires_grad_(False)
    image = torch.randn(1, 8, *size)
    program = torch.export.export(conv, (image,))
    assert "fairmot_mm.deform_conv2d" in str(program.graph)
    assert torch.allclose(program.module()(image), conv(image), atol=1e-6)


def test_compiles_whole_forward_and_backward():
    conv = layer(kernel_size=3, padding=1)
    image = torch.randn(2, 8, 11, 14)
    # The tracing of the compiler with another code generator than its default, which
    # would need a C++ compiler here.
    compiled = torch.compile(conv, backend="aot_eager", fullgraph=True)
    grads = []
    for run in (conv, compiled):
        conv.zero_grad()
        run(image).square().sum().backward()
        grads.append([p.grad.clone() for p in conv.parameters()])
    for expected, given in zip(*grads, strict=True):
        assert torch.allclose(given, expected, rtol=1e-4, atol=1e-4)


def test_memory_stays_below_that_of_im2col():
    image = torch.randn(1, 64, 96, 160)
    conv = DCNv2(64, 64, 3, padding=1).requires_grad_(False)
    columns = 9 * image.numel() * 4
    with torch.profiler.profile(profile_memory=True) as profile:
        conv(image)
    peak = total = 0
    for event in profile.profiler.kineto_results.events():
        if event.name() == "[memory]":
            total += event.nbytes()
            peak = max(peak, total)
    assert 0 < peak < columns


def test_a_backward_pass_under_autocast_is_as_precise():
    conv = layer(kernel_size=3, padding=1)
    image = torch.randn(1, 8, 6, 9)
    grads = []
    for enabled in (False, True):
        conv.zero_grad()
        out = conv(image).square().sum()
        with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
            out.backward()
        grads.append(conv.weight.grad.clone())
    assert torch.allclose(*grads, rtol=1e-5, atol=1e-5)


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
