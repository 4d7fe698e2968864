"""Bilinear sampling of channels-last maps at learned positions, compiled by Numba.

Each of the four neighbours of a sample is one contiguous run of channels, which is read
by vector instructions; an operator that goes channel by channel gathers single numbers.

Arrays have these shapes throughout, for G deformable groups of K kernel points:

- ``rows`` (N, H, W, C), the map;
- ``offset`` (N, 2 * G * K, Ho, Wo), (dy, dx) pairs, and ``mask`` (N, G * K, Ho, Wo);
- ``grid_y`` (Ho, K) and ``grid_x`` (Wo, K), undeformed positions;
- ``columns`` (stop - start, K, C), the samples of the flat output cells from ``start``
  up to ``stop``.

NumPy has no bfloat16: ``rows`` and ``columns`` of that type are passed as their bits,
``uint16``. Arithmetic is in single precision.
"""

import functools
import logging
import os
import threading
from collections.abc import Callable

import numba
import numpy as np
from mmengine.logging import print_log

Inputs = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]


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
    except RuntimeError:
        _warn_of_missing_cache()
        return compiler()(kernel)


_compiled_in_parallel = functools.partial(_compiled, parallel=True)


@functools.cache
def _warn_of_missing_cache() -> None:
    print_log(
        "Numba finds no writable folder for its cache, so deformable convolution is "
        "compiled anew in each process: set NUMBA_CACHE_DIR to one",
        logger="current",
        level=logging.WARNING,
    )


@_compiled
def _neighbours(
    offset: np.ndarray,
    at: int,
    stride: int,
    grid_y: float,
    grid_x: np.ndarray,
    map_shape: tuple[int, int, int, int],
    place: np.ndarray,
    weight: np.ndarray,
    fraction: np.ndarray,
) -> None:
    """Find the four neighbours of the samples of one kernel point in a row of cells.

    A loop of its own, without branches, so that it is vectorised.

    Args:
        offset: Offsets, flat.
        at: Where this row's dy start in them.
        stride: How much further on its dx start.
        grid_y: Undeformed vertical position.
        grid_x: (length,) undeformed horizontal positions.
        map_shape: Height, width and channels of the map, and the flat number of the
            first of them that is read.
        place: (4, length), filled with where the neighbours start in the flat map:
            upper left, upper right, lower left, lower right.
        weight: (4, length), filled with their bilinear weights, 0 outside.
        fraction: (2, length), filled with the position within the cell.
    """
    height, width, channels, start = map_shape
    at_y, at_x = np.uint64(at), np.uint64(at + stride)
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
    inputs: Inputs,
    offset: np.ndarray,
    cell: int,
    length: int,
    point: int,
    first: int,
    buffers: tuple[np.ndarray, np.ndarray, np.ndarray],
) -> tuple[int, int, int]:
    """Locate the samples of one kernel point for some cells of one row.

    Args:
        inputs: ``rows, offset, mask, grid_y, grid_x``.
        offset: Of those, flat.
        cell: The first cell.
        length: How many, all in its row.
        point: The kernel point, counted over all groups.
        first: First channel to read of the group's.
        buffers: ``place, weight, fraction``, filled in by :func:`_neighbours`.

    Returns:
        Where the cells' mask and dy start in the flat ``mask`` and ``offset``, and the
        first channel to read in all.
    """
    rows, _, mask, grid_y, grid_x = inputs
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
        offset,
        at_offset,
        area,
        grid_y[oy, k],
        grid_x[ox : ox + length, k],
        (height, width, channels, start),
        *buffers,
    )
    return at_mask, at_offset, channel


@_compiled
def _allocate_buffers(inputs: Inputs) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Buffers that :func:`_locate` fills in for the cells of a row."""
    _, offset, mask, _, _ = inputs
    length = mask.shape[3]
    return (
        np.empty((4, length), np.uint64),
        np.empty((4, length), offset.dtype),
        np.empty((2, length), offset.dtype),
    )


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
    part: int, parts: int, inputs: Inputs, start: int, stop: int, columns: np.ndarray
) -> None:
    """One of several shares of :func:`sample`: some of the cells."""
    rows, offset, mask, grid_y, _ = inputs
    channels, (planes, _, out_w) = rows.shape[3], mask.shape[1:]
    points = grid_y.shape[1]
    size = np.uint64(channels // (planes // points))
    buffers = _allocate_buffers(inputs)
    place, weight, _ = buffers
    flat, flat_offset, flat_mask = rows.ravel(), offset.ravel(), mask.ravel()
    out = columns.ravel()
    cell = start + (stop - start) * part // parts
    last = start + (stop - start) * (part + 1) // parts
    while cell < last:
        length = min(out_w - cell % out_w, last - cell)
        for point in range(planes):
            at_mask, _, channel = _locate(
                inputs, flat_offset, cell, length, point, 0, buffers
            )
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
    part: int,
    parts: int,
    inputs: Inputs,
    start: int,
    stop: int,
    columns: np.ndarray,
    grad_rows: np.ndarray,
    grad_offset: np.ndarray,
    grad_mask: np.ndarray,
) -> None:
    """One of several shares of :func:`sample_backward`: some of the channels.

    No two shares add to the same numbers of ``grad_rows``.
    """
    rows, offset, mask, grid_y, grid_x = inputs
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
                inputs, flat_offset, cell, length, point, first, buffers
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
                for j in range(count):
                    grad[a + j] += m0 * column[to + j]
                for j in range(count):
                    grad[b + j] += m1 * column[to + j]
                for j in range(count):
                    grad[c + j] += m2 * column[to + j]
                for j in range(count):
                    grad[d + j] += m3 * column[to + j]
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
                to_offset[at_y + i] = factor * (
                    (1 - after) * (d2 - d0) + after * (d3 - d1)
                )
                to_offset[at_x + i] = factor * (
                    (1 - under) * (d1 - d0) + under * (d3 - d2)
                )
                to += np.uint64(points * channels)
        cell += length


@_compiled_in_parallel
def _sample_in_parallel(
    parts: int, inputs: Inputs, start: int, stop: int, columns: np.ndarray
) -> None:
    for part in numba.prange(parts):
        _sample(part, parts, inputs, start, stop, columns)


@_compiled_in_parallel
def _sample_backward_in_parallel(
    parts: int,
    inputs: Inputs,
    start: int,
    stop: int,
    columns: np.ndarray,
    grad_rows: np.ndarray,
    grad_offset: np.ndarray,
    grad_mask: np.ndarray,
) -> None:
    for part in numba.prange(parts):
        _sample_backward(
            part, parts, inputs, start, stop, columns, grad_rows, grad_offset, grad_mask
        )


_MAX_THREADS = numba.get_num_threads()
# Numba's own thread pool, used where there is no OpenMP, serves one caller at a time;
# and GNU OpenMP terminates a forked process that uses it again.
_one_at_a_time = threading.Lock()
_in_child = threading.Event()
if hasattr(os, "register_at_fork"):  # where processes fork
    os.register_at_fork(after_in_child=_in_child.set)


def sample(threads: int, *arguments: object) -> None:
    """Sample a range of output cells.

    Args:
        threads: Threads that may share the work.
        *arguments: ``(rows, offset, mask, grid_y, grid_x), start, stop, columns`` (see
            the top of this file); ``columns`` is filled in.
    """
    _share_out(_sample, _sample_in_parallel, threads, arguments)


def sample_backward(threads: int, *arguments: object) -> None:
    """Gradients of :func:`sample`.

    Args:
        threads: Threads that may share the work.
        *arguments: Those of :func:`sample`, ``columns`` holding gradients, which the
            samples replace; ``grad_rows`` as ``rows``, which is added to;
            ``grad_offset`` (threads, ...) and ``grad_mask`` (threads, ...) as
            ``offset`` and ``mask`` per thread, of which the cells' share is filled in:
            the gradient is the sum over the threads.
    """
    _share_out(_sample_backward, _sample_backward_in_parallel, threads, arguments)


def _share_out(
    alone: Callable, in_parallel: Callable, threads: int, arguments: tuple
) -> None:
    if threads == 1 or _in_child.is_set():
        for part in range(threads):
            alone(part, threads, *arguments)
        return
    with _one_at_a_time:
        numba.set_num_threads(min(threads, _MAX_THREADS))
        in_parallel(threads, *arguments)
