"""Bilinear sampling of channels-last maps at learned positions, compiled by Numba.

Each of the four neighbours of a sample is one contiguous run of channels, which is read
by vector instructions; an operator that goes channel by channel gathers single numbers.

Arrays have these shapes throughout, for G deformable groups of K kernel points:

- ``rows`` (N, H, W, C), the map;
- ``offset`` (N, 2 * G * K, Ho, Wo), (dy, dx) pairs, and ``mask`` (N, G * K, Ho, Wo);
- ``grid_y`` (Ho, K) and ``grid_x`` (Wo, K), undeformed positions;
- ``columns`` (stop - start, K, C), the samples of the flat output cells from ``start``
  up to ``stop``;
- of the four neighbours (upper left, upper right, lower left, lower right) of a row of
  samples ``place`` (4, length), where they start in the flat ``rows``, ``weight``
  (4, length), bilinear, 0 outside, and ``fraction`` (2, length), the position between.

NumPy has no bfloat16: ``rows`` and ``columns`` of that type are passed as their bits,
``uint16``. Arithmetic is in single precision.
"""

import functools
import os
import threading
import warnings
from collections.abc import Callable

import numba
import numpy as np

Array = np.ndarray
Inputs = tuple[Array, Array, Array, Array, Array]  # rows, offset, mask, grid_y, grid_x
Gradients = tuple[Array, Array, Array, Array]  # of columns, rows, offset, mask
Buffers = tuple[Array, Array, Array]  # place, weight, fraction


def _compiled(kernel: Callable, parallel: bool = False) -> Callable:
    """Let Numba compile a function when it is first called."""
    compiler = functools.partial(
        numba.njit,
        parallel=parallel,
        nogil=True,
        error_model="numpy",
        # Sums may be reordered and multiplications joined to additions; NaN and
        # infinity keep their meaning.
        fastmath={"contract", "nsz", "reassoc"},
    )
    try:
        return compiler(cache=True)(kernel)
    except RuntimeError as error:
        warnings.warn(
            "deformable convolution is compiled anew in each process: set "
            f"NUMBA_CACHE_DIR to a writable folder ({error})",
            stacklevel=2,
        )
        return compiler()(kernel)


_compiled_in_parallel = functools.partial(_compiled, parallel=True)


@_compiled
def _neighbours(
    offset: Array, at: tuple, grid_y: float, grid_x: Array, shape: tuple, out: Buffers
) -> None:
    """Find the neighbours of the samples of one kernel point in a row of cells.

    A loop of its own, without branches, so that it is vectorised. ``at`` says where the
    row's dy and dx start in the flat offsets, ``shape`` is height, width and channels
    of the map and where it starts in the flat ``rows``.
    """
    height, width, channels, start = shape
    place, weight, fraction = out
    at_y, at_x = np.uint64(at[0]), np.uint64(at[1])
    for i in range(np.uint64(len(grid_x))):
        # Samples further outside are zero as well.
        y = min(max(grid_y + offset[at_y + i], -1), height)
        x = min(max(grid_x[i] + offset[at_x + i], -1), width)
        top, left = np.floor(y), np.floor(x)
        under, after = y - top, x - left
        row, column = np.int64(top), np.int64(left)
        over = (1 - under) * (row >= 0) * (row < height)
        low = under * (row + 1 < height)
        before = (1 - after) * (column >= 0) * (column < width)
        behind = after * (column + 1 < width)
        upper, lower = max(row, 0), min(row + 1, height - 1)
        first, second = max(column, 0), min(column + 1, width - 1)
        upper, first = min(upper, height - 1), min(first, width - 1)
        place[0, i] = (upper * width + first) * channels + start
        place[1, i] = (upper * width + second) * channels + start
        place[2, i] = (lower * width + first) * channels + start
        place[3, i] = (lower * width + second) * channels + start
        weight[0, i] = over * before
        weight[1, i] = over * behind
        weight[2, i] = low * before
        weight[3, i] = low * behind
        fraction[0, i], fraction[1, i] = under, after


@_compiled
def _locate(
    inputs: Inputs, cells: tuple[int, int], point: int, first: int, out: Buffers
) -> tuple[int, int, int]:
    """Locate the samples of one kernel point, counted over all groups.

    For ``cells`` of one row (the first, their number) and channels from the ``first``
    of the group on. Returns where the cells' mask and dy start in the flat ``mask`` and
    ``offset``, and the first channel to read in all.
    """
    rows, offset, mask, grid_y, grid_x = inputs
    cell, length = cells
    _, height, width, channels = rows.shape
    _, planes, out_h, out_w = mask.shape
    points, area = grid_y.shape[1], out_h * out_w
    n, oy, ox = cell // area, cell // out_w % out_h, cell % out_w
    g, k = point // points, point % points
    plane, in_plane = n * planes + point, oy * out_w + ox
    at_mask, at_offset = plane * area + in_plane, 2 * plane * area + in_plane
    channel = g * (channels // (planes // points)) + first
    start = n * height * width * channels + channel
    _neighbours(
        offset.ravel(),
        (at_offset, at_offset + area),
        grid_y[oy, k],
        grid_x[ox : ox + length, k],
        (height, width, channels, start),
        out,
    )
    return at_mask, at_offset, channel


@_compiled
def _allocate_buffers(inputs: Inputs) -> Buffers:
    """Buffers that :func:`_locate` fills in for the cells of a row."""
    dtype, length = inputs[1].dtype, inputs[2].shape[3]
    place = np.empty((4, length), np.uint64)
    return place, np.empty((4, length), dtype), np.empty((2, length), dtype)


@_compiled
def _widened(value: np.generic) -> np.generic:
    """A number of the map in single precision; integers are bits of a bfloat16."""
    if isinstance(value, np.uint16):  # known when this is compiled
        return np.uint32(np.uint32(value) << np.uint32(16)).view(np.float32)
    return value


@_compiled
def _narrowed(value: np.floating, like: np.generic) -> np.generic:
    """A number in the type of another: rounded to bits of a bfloat16 if needed."""
    if isinstance(like, np.uint16):
        bits = np.float32(value).view(np.uint32)
        half = np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & np.uint32(1))
        return np.uint16(np.uint32(bits + half) >> np.uint32(16))
    return value


# Flat arrays and unsigned indices from here on: slices and the check for negative
# indices would take longer than the sampling itself.


@_compiled
def _sample(
    part: int, parts: int, inputs: Inputs, start: int, stop: int, columns: Array
) -> None:
    """One of several shares of :func:`sample`: some of the cells."""
    rows, _, mask, grid_y, _ = inputs
    channels, (planes, _, out_w) = rows.shape[3], mask.shape[1:]
    points = grid_y.shape[1]
    size = np.uint64(channels // (planes // points))
    buffers = _allocate_buffers(inputs)
    place, weight, _ = buffers
    flat, flat_mask, out = rows.ravel(), mask.ravel(), columns.ravel()
    cell = start + (stop - start) * part // parts
    last = start + (stop - start) * (part + 1) // parts
    while cell < last:
        length = min(out_w - cell % out_w, last - cell)
        for point in range(planes):
            at_mask, _, channel = _locate(inputs, (cell, length), point, 0, buffers)
            row = (cell - start) * points + point % points
            to, at_mask = np.uint64(row * channels + channel), np.uint64(at_mask)
            for i in range(np.uint64(length)):
                a, b, c, d = place[0, i], place[1, i], place[2, i], place[3, i]
                factor = flat_mask[at_mask + i]
                w0, w1 = weight[0, i] * factor, weight[1, i] * factor
                w2, w3 = weight[2, i] * factor, weight[3, i] * factor
                for j in range(size):
                    value = (
                        w0 * _widened(flat[a + j])
                        + w1 * _widened(flat[b + j])
                        + w2 * _widened(flat[c + j])
                        + w3 * _widened(flat[d + j])
                    )
                    out[to + j] = _narrowed(value, out[to + j])
                to += np.uint64(points * channels)
        cell += length


@_compiled
def _sample_backward(
    part: int, parts: int, inputs: Inputs, start: int, stop: int, gradients: Gradients
) -> None:
    """One of several shares of :func:`sample_backward`: some of the channels.

    No two shares add to the same numbers of ``grad_rows``.
    """
    rows, offset, mask, grid_y, grid_x = inputs
    columns, grad_rows, grad_offset, grad_mask = gradients
    _, height, width, channels = rows.shape
    planes, out_h, out_w = mask.shape[1:]
    points = grid_y.shape[1]
    size = channels // (planes // points)
    first = size * part // parts
    count = np.uint64(size * (part + 1) // parts - first)
    buffers = _allocate_buffers(inputs)
    place, weight, fraction = buffers
    flat, flat_offset, flat_mask = rows.ravel(), offset.ravel(), mask.ravel()
    column, grad = columns.ravel(), grad_rows.ravel()
    to_offset, to_mask = grad_offset[part].ravel(), grad_mask[part].ravel()
    cell = start
    while cell < stop:
        oy, ox = cell // out_w % out_h, cell % out_w
        length = min(out_w - ox, stop - cell)
        for point in range(planes):
            at_mask, at_offset, channel = _locate(
                inputs, (cell, length), point, first, buffers
            )
            k = point % points
            row = (cell - start) * points + k
            to, at_mask = np.uint64(row * channels + channel), np.uint64(at_mask)
            at_y = np.uint64(at_offset)
            at_x = np.uint64(at_offset + out_h * out_w)
            for i in range(np.uint64(length)):
                a, b, c, d = place[0, i], place[1, i], place[2, i], place[3, i]
                factor = flat_mask[at_mask + i]
                w0, w1, w2, w3 = weight[0, i], weight[1, i], weight[2, i], weight[3, i]
                m0, m1, m2, m3 = w0 * factor, w1 * factor, w2 * factor, w3 * factor
                # The dot products of the gradient with each neighbour are all that
                # the position and the factor need.
                d0 = d1 = d2 = d3 = factor * 0
                for j in range(count):
                    d0 += column[to + j] * _widened(flat[a + j])
                    d1 += column[to + j] * _widened(flat[b + j])
                    d2 += column[to + j] * _widened(flat[c + j])
                    d3 += column[to + j] * _widened(flat[d + j])
                # One loop each: at a border two neighbours are the same cell.
                for at, share in ((a, m0), (b, m1), (c, m2), (d, m3)):
                    for j in range(count):
                        grad[at + j] += share * column[to + j]
                for j in range(count):
                    column[to + j] = (
                        m0 * _widened(flat[a + j])
                        + m1 * _widened(flat[b + j])
                        + m2 * _widened(flat[c + j])
                        + m3 * _widened(flat[d + j])
                    )
                to_mask[at_mask + i] = w0 * d0 + w1 * d1 + w2 * d2 + w3 * d3
                # Neighbours outside are zero and have no gradient.
                y = grid_y[oy, k] + flat_offset[at_y + i]
                x = grid_x[ox + np.int64(i), k] + flat_offset[at_x + i]
                d0 *= y >= 0 and x >= 0
                d1 *= y >= 0 and x < width - 1
                d2 *= y < height - 1 and x >= 0
                d3 *= y < height - 1 and x < width - 1
                factor *= y > -1 and x > -1 and y < height and x < width
                under, after = fraction[0, i], fraction[1, i]
                dy = (1 - after) * (d2 - d0) + after * (d3 - d1)
                dx = (1 - under) * (d1 - d0) + under * (d3 - d2)
                to_offset[at_y + i], to_offset[at_x + i] = factor * dy, factor * dx
                to += np.uint64(points * channels)
        cell += length


@_compiled_in_parallel
def _sample_in_parallel(
    parts: int, inputs: Inputs, start: int, stop: int, columns: Array
) -> None:
    for part in numba.prange(parts):
        _sample(part, parts, inputs, start, stop, columns)


@_compiled_in_parallel
def _sample_backward_in_parallel(
    parts: int, inputs: Inputs, start: int, stop: int, gradients: Gradients
) -> None:
    for part in numba.prange(parts):
        _sample_backward(part, parts, inputs, start, stop, gradients)


# Numba's own thread pool, used where there is no OpenMP, serves one caller at a time;
# and GNU OpenMP terminates a forked process that uses it again.
_one_at_a_time = threading.Lock()
_in_child = threading.Event()
if hasattr(os, "register_at_fork"):  # where processes fork
    os.register_at_fork(after_in_child=_in_child.set)


def sample(threads: int, inputs: Inputs, start: int, stop: int, columns: Array) -> None:
    """Sample a range of output cells into ``columns``, sharing the work by threads."""
    _share_out(_sample, _sample_in_parallel, threads, inputs, start, stop, columns)


def sample_backward(
    threads: int, inputs: Inputs, start: int, stop: int, gradients: Gradients
) -> None:
    """Gradients of :func:`sample`.

    In ``gradients`` the samples replace those of ``columns``; those of ``rows`` are
    added to; those of ``offset`` and ``mask`` (threads, ...) are filled in for the
    range of cells, and are to be summed over the threads.
    """
    shares = (_sample_backward, _sample_backward_in_parallel)
    _share_out(*shares, threads, inputs, start, stop, gradients)


def _share_out(
    alone: Callable, in_parallel: Callable, threads: int, *arguments: object
) -> None:
    if threads == 1 or _in_child.is_set():
        for part in range(threads):
            alone(part, threads, *arguments)
        return
    with _one_at_a_time:
        numba.set_num_threads(min(threads, vars(numba.config)["NUMBA_NUM_THREADS"]))
        in_parallel(threads, *arguments)
