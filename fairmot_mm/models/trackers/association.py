"""Costs between tracks and detections, and their assignment."""

import lap
import numpy as np


def normalised(embeddings: np.ndarray) -> np.ndarray:
    """Embeddings (M, D) brought to length 1; zeros stay zeros."""
    lengths = np.linalg.norm(embeddings, axis=1, keepdims=True)
    return embeddings / np.maximum(lengths, np.finfo(np.float32).tiny)


def cosine_distance(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Cosine distance (P,), at least 0, of P pairs of embeddings (P, D) of length 1.

    Empty embeddings (D = 0) are all at distance 0.
    """
    if first.shape[1] == 0:
        return np.zeros(len(first))
    cosine = np.einsum("pd,pd->p", first, second)
    return np.maximum(1 - cosine.astype(float), 0)


def box_iou(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Intersection over union (N, M) of boxes xyxy (N, 4) and (M, 4).

    Corners count as pixels of the box, so a box is one wider than ``x2 - x1``: the
    reference implementation keeps this convention of older detectors.
    """
    # x and y one after the other: an axis of two numbers is slow.
    a, b = first.T[:, :, None], second.T[:, None]
    width, height = (
        np.maximum(np.minimum(a[i + 2], b[i + 2]) - np.maximum(a[i], b[i]) + 1, 0)
        for i in (0, 1)
    )
    intersection = width * height
    areas = [(boxes[:, 2:] - boxes[:, :2] + 1).prod(-1) for boxes in (first, second)]
    return intersection / (areas[0][:, None] + areas[1][None] - intersection)


def assign(costs: np.ndarray, limit: float) -> tuple[np.ndarray, np.ndarray]:
    """Cheapest assignment in which a pair may cost no more than ``limit``.

    Args:
        costs: (N, M), infinite where a pair is impossible.
        limit: What leaving a row and a column unmatched costs together.

    Returns:
        Matched rows, ascending, and their columns.
    """
    if costs.size == 0:
        return np.empty(0, int), np.empty(0, int)
    possible = costs <= limit
    # Most pairs are each other's only candidates. Those need no solver, which leaves a
    # small problem.
    alone = possible.sum(1) == 1
    partner = possible.argmax(1)
    alone &= possible.sum(0)[partner] == 1
    matched = np.where(alone, partner, -1)
    rows = np.flatnonzero(~alone & possible.any(1))
    columns = np.flatnonzero(possible[rows].any(0))
    if len(rows):
        part = costs[np.ix_(rows, columns)]
        # Costs above the limit are never chosen; a finite one keeps infinities out of
        # the solver's sums.
        part[~(part <= limit)] = 2 * limit + 1  # NaN as well, of boxes without area
        _, chosen, _ = lap.lapjv(part, extend_cost=True, cost_limit=limit)
        found = chosen >= 0
        matched[rows[found]] = columns[chosen[found]]
    rows = np.flatnonzero(matched >= 0)
    return rows, matched[rows]
