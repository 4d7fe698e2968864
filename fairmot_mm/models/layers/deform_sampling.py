"""Bilinear sampling of channels-last maps at learned positions, compiled by Numba.

Each of the four neighbours of a sample is one contiguous run of channels, which a
processor reads and weighs many at a time; an operator that goes channel by channel
gathers single numbers instead.

Arrays have these shapes throughout, for G deformable groups of K kernel points:

- ``rows`` (N, H, W, C), the map;
- ``offset`` (N, 2 * G * K, Ho, Wo), (dy, dx) pairs, and ``mask`` (N, G * K, Ho, Wo);
- ``grid_y`` (Ho, K) and ``grid_x`` (Wo, K), undeformed positions;
- ``columns`` (stop - start, K, C), the samples of the flat output cells from ``start``
  up to ``stop``.
"""

import math
import os
import threading

import numba
import numpy as np

_OPTIONS = dict(
    cache=True,
    nogil=True,
    error_model="numpy",
    # Sums may be reordered and multiplications joined to additions; NaN and infinity
    # keep their meaning.
    fastmath={"contract", "nsz", "reassoc"},
)


@numba.njit(**_OPTIONS)
def _neighbours(position, length):
    """Cells before and after a position, inside the axis; weights; are they inside."""
    floor = math.floor(position)
    weight = position - floor
    before, after = int(floor), int(floor) + 1
    with_before, with_after = before >= 0, after < length
    return (
        before if with_before else 0,
        after if with_after else length - 1,
        1 - weight if with_before else weight * 0,
        weight if with_after else weight * 0,
        with_before,
        with_after,
    )


@numba.njit(**_OPTIONS)
def _sample(part, parts, rows, offset, mask, grid_y, grid_x, start, stop, columns):
    """One of several shares of :func:`sample`: some of the cells."""
    _, height, width, channels = rows.shape
    points, (out_h, out_w) = grid_y.shape[1], mask.shape[2:]
    groups = mask.shape[1] // points
    size = channels // groups
    first = start + (stop - start) * part // parts
    last = start + (stop - start) * (part + 1) // parts
    for cell in range(first, last):
        n, oy, ox = cell // (out_h * out_w), cell // out_w % out_h, cell % out_w
        for k in range(points):
            for g in range(groups):
                p = g * points + k
                at = slice(g * size, (g + 1) * size)
                out = columns[cell - start, k, at]
                y = grid_y[oy, k] + offset[n, 2 * p, oy, ox]
                x = grid_x[ox, k] + offset[n, 2 * p + 1, oy, ox]
                if not (-1 < y < height and -1 < x < width):
                    out[:] = 0
                    continue
                top, low, over, under, _, _ = _neighbours(y, height)
                left, right, before, after, _, _ = _neighbours(x, width)
                factor = mask[n, p, oy, ox]
                over, under = over * factor, under * factor
                w0, w1, w2, w3 = (
                    over * before,
                    over * after,
                    under * before,
                    under * after,
                )
                top_left, top_right = rows[n, top, left, at], rows[n, top, right, at]
                low_left, low_right = rows[n, low, left, at], rows[n, low, right, at]
                for c in range(size):
                    out[c] = (
                        w0 * top_left[c]
                        + w1 * top_right[c]
                        + w2 * low_left[c]
                        + w3 * low_right[c]
                    )


@numba.njit(**_OPTIONS)
def _sample_backward(
    part,
    parts,
    rows,
    offset,
    mask,
    grid_y,
    grid_x,
    start,
    stop,
    columns,
    grad_rows,
    grad_offset,
    grad_mask,
):
    """One of several shares of :func:`sample_backward`: some of the channels.

    No two shares add to the same numbers of ``grad_rows``.
    """
    _, height, width, channels = rows.shape
    points, (out_h, out_w) = grid_y.shape[1], mask.shape[2:]
    groups = mask.shape[1] // points
    size = channels // groups
    first, last = size * part // parts, size * (part + 1) // parts
    count = last - first
    for cell in range(start, stop):
        n, oy, ox = cell // (out_h * out_w), cell // out_w % out_h, cell % out_w
        for k in range(points):
            for g in range(groups):
                p = g * points + k
                at = slice(g * size + first, g * size + last)
                column = columns[cell - start, k, at]
                y = grid_y[oy, k] + offset[n, 2 * p, oy, ox]
                x = grid_x[ox, k] + offset[n, 2 * p + 1, oy, ox]
                if not (-1 < y < height and -1 < x < width):
                    column[:] = 0
                    grad_offset[part, n, 2 * p, oy, ox] = 0
                    grad_offset[part, n, 2 * p + 1, oy, ox] = 0
                    grad_mask[part, n, p, oy, ox] = 0
                    continue
                top, low, over, under, with_top, with_low = _neighbours(y, height)
                left, right, before, after, with_left, with_right = _neighbours(
                    x, width
                )
                factor = mask[n, p, oy, ox]
                w0, w1, w2, w3 = (
                    over * before,
                    over * after,
                    under * before,
                    under * after,
                )
                m0, m1, m2, m3 = w0 * factor, w1 * factor, w2 * factor, w3 * factor
                top_left, top_right = rows[n, top, left, at], rows[n, top, right, at]
                low_left, low_right = rows[n, low, left, at], rows[n, low, right, at]
                to_top_left = grad_rows[n, top, left, at]
                to_top_right = grad_rows[n, top, right, at]
                to_low_left = grad_rows[n, low, left, at]
                to_low_right = grad_rows[n, low, right, at]
                # The dot products of the gradient with each neighbour are all that
                # the position and the factor need.
                d0 = d1 = d2 = d3 = factor * 0
                for c in range(count):
                    d0 += column[c] * top_left[c]
                    d1 += column[c] * top_right[c]
                    d2 += column[c] * low_left[c]
                    d3 += column[c] * low_right[c]
                # One loop each: at a border two neighbours are the same cell.
                for c in range(count):
                    to_top_left[c] += m0 * column[c]
                for c in range(count):
                    to_top_right[c] += m1 * column[c]
                for c in range(count):
                    to_low_left[c] += m2 * column[c]
                for c in range(count):
                    to_low_right[c] += m3 * column[c]
                for c in range(count):
                    column[c] = (
                        m0 * top_left[c]
                        + m1 * top_right[c]
                        + m2 * low_left[c]
                        + m3 * low_right[c]
                    )
                grad_mask[part, n, p, oy, ox] = w0 * d0 + w1 * d1 + w2 * d2 + w3 * d3
                d0 *= with_top and with_left
                d1 *= with_top and with_right
                d2 *= with_low and with_left
                d3 *= with_low and with_right
                y, x = y - math.floor(y), x - math.floor(x)
                grad_offset[part, n, 2 * p, oy, ox] = factor * (
                    (1 - x) * (d2 - d0) + x * (d3 - d1)
                )
                grad_offset[part, n, 2 * p + 1, oy, ox] = factor * (
                    (1 - y) * (d1 - d0) + y * (d3 - d2)
                )


@numba.njit(parallel=True, **_OPTIONS)
def _sample_in_parallel(
    parts, rows, offset, mask, grid_y, grid_x, start, stop, columns
):
    for part in numba.prange(parts):
        _sample(part, parts, rows, offset, mask, grid_y, grid_x, start, stop, columns)


@numba.njit(parallel=True, **_OPTIONS)
def _sample_backward_in_parallel(
    parts,
    rows,
    offset,
    mask,
    grid_y,
    grid_x,
    start,
    stop,
    columns,
    grad_rows,
    grad_offset,
    grad_mask,
):
    for part in numba.prange(parts):
        _sample_backward(
            part,
            parts,
            rows,
            offset,
            mask,
            grid_y,
            grid_x,
            start,
            stop,
            columns,
            grad_rows,
            grad_offset,
            grad_mask,
        )


# Numba's plainest threads, which it takes where the machine has no OpenMP, serve one
# caller at a time; and GNU OpenMP ends a forked process that uses it again.
_one_at_a_time = threading.Lock()
_in_child = threading.Event()
os.register_at_fork(after_in_child=_in_child.set)


def sample(threads: int, *arguments) -> None:
    """Sample a range of output cells.

    Args:
        threads (int): Threads that may share the work.
        *arguments: ``rows, offset, mask, grid_y, grid_x, start, stop, columns`` (see
            the top of this file); ``columns`` is filled in.
    """
    _share_out(_sample, _sample_in_parallel, threads, arguments)


def sample_backward(threads: int, *arguments) -> None:
    """Gradients of :func:`sample`.

    Args:
        threads (int): Threads that may share the work.
        *arguments: Those of :func:`sample`, ``columns`` holding gradients, which the
            samples replace; ``grad_rows`` as ``rows``, which is added to;
            ``grad_offset`` (threads, ...) and ``grad_mask`` (threads, ...) as
            ``offset`` and ``mask`` per thread, of which the cells' share is filled in:
            the gradient is the sum over the threads.
    """
    _share_out(_sample_backward, _sample_backward_in_parallel, threads, arguments)


def _share_out(alone, in_parallel, threads: int, arguments: tuple) -> None:
    if threads == 1 or _in_child.is_set():
        for part in range(threads):
            alone(part, threads, *arguments)
        return
    with _one_at_a_time:
        numba.set_num_threads(min(threads, numba.config.NUMBA_NUM_THREADS))
        in_parallel(threads, *arguments)


def grid(length: int, kernel: np.ndarray, stride: int, padding: int) -> np.ndarray:
    """Undeformed positions (length, K) on one axis of an output of some length."""
    return np.arange(length)[:, None] * stride - padding + kernel
