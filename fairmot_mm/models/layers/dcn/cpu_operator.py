from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import FunctionCtx
from torch.nn import functional as F

# Bytes of samples that are made and multiplied at a time: they stay in a processor's
# cache, and the memory they need does not depend on the size of the map.
CHUNK_BYTES = 1 << 22
# But at least this many cells: each product reorders its weights anew.
CHUNK_CELLS = 1024
# Fewer channels a thread are not worth distributing.
MIN_CHANNELS = 16


class Samples:
    """The samples of one deformable convolution, a chunk of output cells at a time.

    Takes the arguments of :func:`sampled_deform_conv2d`; ``geometry`` is kernel size,
    stride, padding and dilation.
    """

    def __init__(
        self, x: Tensor, offset: Tensor, mask: Tensor, *geometry: Sequence[int]
    ) -> None:
        # Samples of a half-precision map are computed in single precision. The kernels
        # read bfloat16 directly; float16 is converted first.
        self.dtype = x.dtype
        self.precise = torch.promote_types(x.dtype, torch.float32)
        rows = x.permute(0, 2, 3, 1).contiguous()
        self.rows = rows.to(self.precise) if x.dtype == torch.float16 else rows
        offset, mask = (t.to(self.precise).contiguous() for t in (offset, mask))
        kernel_size, *steps = geometry
        kernel = np.indices(kernel_size).reshape(2, -1)
        axes = zip(mask.shape[2:], kernel, *steps, strict=True)
        # Positions are rounded to the precision of the offsets, as torchvision's are.
        dtype = _array(offset).dtype
        grids = [
            (np.arange(size)[:, None] * stride - pad + points * dilation).astype(dtype)
            for size, points, stride, pad, dilation in axes
        ]
        self.points = kernel.shape[1]
        self.cells = mask.shape[0] * mask.shape[2] * mask.shape[3]
        row_bytes = self.points * self.rows.shape[-1] * self.rows.element_size()
        self.chunk = min(self.cells, max(CHUNK_CELLS, CHUNK_BYTES // row_bytes))
        self.inputs = (*map(_array, (self.rows, offset, mask)), *grids)

    def chunks(self) -> list[tuple[int, int]]:
        """First and last (exclusive) output cell of each chunk."""
        starts = range(0, self.cells, self.chunk)
        return [(start, min(start + self.chunk, self.cells)) for start in starts]

    def empty(self) -> Tensor:
        """Buffer for a chunk's samples (M, K, C)."""
        return self.rows.new_empty((self.chunk, self.points, self.rows.shape[-1]))

    def sample(self, start: int, stop: int, columns: Tensor) -> Tensor:
        """Samples (M, K, C) of a chunk, made in ``columns``."""
        from . import cpu_kernels  # Numba is not loaded before a CPU needs it

        threads = torch.get_num_threads()
        cpu_kernels.sample(threads, self.inputs, start, stop, _array(columns))
        return columns[: stop - start].to(self.dtype)

    def backward(self, start: int, stop: int, *gradients: Tensor) -> None:
        """Gradients of a chunk; see :func:`cpu_kernels.sample_backward`."""
        from . import cpu_kernels

        columns, rows, offset, mask = (t.numpy() for t in gradients)
        cpu_kernels.sample_backward(
            len(mask), self.inputs, start, stop, (columns, rows, offset, mask)
        )


def _array(tensor: Tensor) -> np.ndarray:
    """A tensor as the compiled loops take it."""
    bits = tensor.dtype == torch.bfloat16
    return tensor.view(torch.uint16).numpy() if bits else tensor.numpy()


def _multiply(columns: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Rows (M, C) times weights (O, C), plus bias (O,).

    As a convolution over a channels-last map one pixel high: PyTorch runs it by oneDNN,
    which on many processors is twice as fast as the library behind ``linear``.
    """
    rows = columns.view(1, 1, *columns.shape).permute(0, 3, 1, 2)
    out = F.conv2d(rows, weight[:, :, None, None], bias)
    return out.permute(0, 2, 3, 1).view(-1, len(weight))


def _weight_gradient(grad: Tensor, columns: Tensor) -> Tensor:
    """Gradient (O, C) of the weights of :func:`_multiply`; grad (M, O)."""
    grad, rows = (t.view(1, 1, *t.shape).permute(0, 3, 1, 2) for t in (grad, columns))
    weight = grad.new_empty((grad.shape[1], rows.shape[1], 1, 1))
    geometry = ([1, 1], [0, 0], [1, 1], False, [0, 0], 1)
    return torch.ops.aten.convolution_backward(
        grad, rows, weight, None, *geometry, [False, True, False]
    )[1][:, :, 0, 0]


@torch.library.custom_op("fairmot_mm::deform_conv2d", mutates_args=())
@torch.autocast("cpu", enabled=False)  # types are the caller's choice, not autocast's
def sampled_deform_conv2d(
    x: Tensor,
    offset: Tensor,
    mask: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: list[int],
    padding: list[int],
    dilation: list[int],
) -> Tensor:
    """Modulated deformable convolution on a CPU by sampling and matrix products.

    Same operator as :func:`torchvision.ops.deform_conv2d` (DCNv2, Zhu et al., CVPR
    2019, eq. 1), forward and backward, many times faster and in less memory.

    Args:
        x: Map of shape (N, C, H, W).
        offset: (N, 2 * G * K, Ho, Wo), interleaved (dy, dx) in pixels, G deformable
            groups, of at least single precision whatever ``x`` has.
        mask: (N, G * K, Ho, Wo) in [0, 1].
        weight: (C_out, C / groups, kh, kw) in the type of ``x``.
        bias: (C_out,) in the type of ``x``.
        stride: Vertical and horizontal stride.
        padding: Vertical and horizontal zero padding.
        dilation: Vertical and horizontal dilation.

    Returns:
        (N, C_out, Ho, Wo), channels-last in memory.
    """
    samples = Samples(x, offset, mask, weight.shape[2:], stride, padding, dilation)
    columns = samples.empty()
    groups = x.shape[1] // weight.shape[1]
    weights = _as_sampled(weight).chunk(groups)
    biases = bias.chunk(groups) if bias is not None else (None,) * groups
    out = _empty_output(x, mask, weight)
    rows = out.permute(0, 2, 3, 1).view(samples.cells, -1)
    for start, stop in samples.chunks():
        parts = samples.sample(start, stop, columns).chunk(groups, dim=-1)
        targets = rows[start:stop].chunk(groups, dim=-1)
        for part, w, b, target in zip(parts, weights, biases, targets, strict=True):
            target.copy_(_multiply(part.flatten(1), w, b))
    return out


@sampled_deform_conv2d.register_fake
def _(x: Tensor, offset: Tensor, mask: Tensor, weight: Tensor, *_: object) -> Tensor:
    return _empty_output(x, mask, weight)


@torch.library.custom_op("fairmot_mm::deform_conv2d_backward", mutates_args=())
@torch.autocast("cpu", enabled=False)  # types are the caller's choice, not autocast's
def sampled_deform_conv2d_backward(
    grad: Tensor,
    x: Tensor,
    offset: Tensor,
    mask: Tensor,
    weight: Tensor,
    stride: list[int],
    padding: list[int],
    dilation: list[int],
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Gradients of :func:`sampled_deform_conv2d`.

    The samples are recomputed, which is cheap beside the matrix products.

    Returns:
        Gradients of ``x``, ``offset``, ``mask`` and ``weight``.
    """
    samples = Samples(x, offset, mask, weight.shape[2:], stride, padding, dilation)
    groups = x.shape[1] // weight.shape[1]
    deform_groups = mask.shape[1] // samples.points
    channels = x.shape[1] // deform_groups
    threads = min(torch.get_num_threads(), max(1, channels // MIN_CHANNELS))

    rows = grad.permute(0, 2, 3, 1).reshape(samples.cells, -1).to(x.dtype)
    weights = [part.t().contiguous() for part in _as_sampled(weight).chunk(groups)]
    grad_x = torch.zeros_like(samples.rows, dtype=samples.precise)
    # One share per thread.
    grad_offset = offset.new_empty((threads, *offset.shape), dtype=samples.precise)
    grad_mask = mask.new_empty((threads, *mask.shape), dtype=samples.precise)
    grad_weight = grad_x.new_zeros(len(weight), weights[0].shape[0])
    for start, stop in samples.chunks():
        parts = rows[start:stop].chunk(groups, dim=-1)
        products = [
            _multiply(part, w).view(len(part), samples.points, -1)
            for part, w in zip(parts, weights, strict=True)
        ]
        columns = products[0] if groups == 1 else torch.cat(products, dim=-1)
        columns = columns.to(samples.precise).contiguous()
        samples.backward(start, stop, columns, grad_x, grad_offset, grad_mask)
        sampled, targets = columns.chunk(groups, dim=-1), grad_weight.chunk(groups)
        for target, column, part in zip(targets, sampled, parts, strict=True):
            target += _weight_gradient(part, column.flatten(1).to(part.dtype))
    grad_weight = grad_weight.view(len(weight), samples.points, -1)
    return (
        grad_x.permute(0, 3, 1, 2).to(x.dtype),
        grad_offset.sum(0).to(offset.dtype),
        grad_mask.sum(0).to(mask.dtype),
        grad_weight.transpose(1, 2).reshape(weight.shape).to(weight.dtype),
    )


@sampled_deform_conv2d_backward.register_fake
def _(
    grad: Tensor, x: Tensor, offset: Tensor, mask: Tensor, weight: Tensor, *_: object
) -> tuple[Tensor, ...]:
    others = (offset, mask, weight)
    return (
        torch.empty_like(x, memory_format=torch.channels_last),
        *(torch.empty_like(t, memory_format=torch.contiguous_format) for t in others),
    )


def _as_sampled(weight: Tensor) -> Tensor:
    """Weights (O, K * C), kernel points before channels as the samples lie."""
    return weight.permute(0, 2, 3, 1).flatten(1)


def _empty_output(x: Tensor, mask: Tensor, weight: Tensor) -> Tensor:
    shape = (len(x), len(weight), *mask.shape[2:])
    return x.new_empty(shape).to(memory_format=torch.channels_last)


class _Context(FunctionCtx):
    """What the forward pass hands to the backward pass."""

    saved_tensors: tuple[Tensor, ...]
    geometry: tuple[list[int], list[int], list[int]]
    with_bias: bool


def _keep_inputs(ctx: _Context, inputs: tuple, output: Tensor) -> None:
    *tensors, bias, stride, padding, dilation = inputs
    ctx.geometry = (stride, padding, dilation)
    ctx.with_bias = bias is not None
    ctx.save_for_backward(*tensors)


def _backward(ctx: _Context, grad: Tensor) -> tuple:
    grads = sampled_deform_conv2d_backward(grad, *ctx.saved_tensors, *ctx.geometry)
    grad_bias = grad.sum((0, 2, 3)) if ctx.with_bias else None
    return (*grads, grad_bias, None, None, None)


sampled_deform_conv2d.register_autograd(_backward, setup_context=_keep_inputs)
