from itertools import permutations

import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment

from fairmot_mm.models.trackers.association import assign, box_iou, cosine_distance


def cheapest(costs: np.ndarray, limit: float) -> float:
    """Cost of the best assignment, an unmatched pair of a row and a column at limit."""
    rows, columns = costs.shape
    side = rows + columns
    full = np.full((side, side), limit / 2)
    full[:rows, :columns] = costs
    full[rows:, columns:] = 0
    return min(full[range(side), order].sum() for order in permutations(range(side)))


@pytest.mark.parametrize("seed", range(12))
def test_assignment_is_the_cheapest(seed):
    rng = np.random.default_rng(seed)
    costs = rng.uniform(0, 1, rng.integers(1, 5, 2))
    costs[rng.uniform(size=costs.shape) < 0.3] = np.inf
    rows, columns = assign(costs, 0.6)
    assert (costs[rows, columns] <= 0.6).all()
    assert len(set(columns)) == len(rows) == len(set(rows))
    assert sorted(rows) == list(rows)
    unmatched = sum(costs.shape) - 2 * len(rows)
    total = costs[rows, columns].sum() + unmatched * 0.3
    assert total == pytest.approx(cheapest(costs, 0.6))


@pytest.mark.parametrize("shape", [(0, 3), (3, 0), (0, 0)])
def test_nothing_to_assign(shape):
    rows, columns = assign(np.zeros(shape), 0.5)
    assert len(rows) == len(columns) == 0


def test_all_impossible():
    rows, _ = assign(np.full((3, 2), np.inf), 0.5)
    assert len(rows) == 0


def test_iou_counts_corner_pixels():
    # 10x10 pixels each when both corners count, 5 columns shared: 50 of 150.
    first = np.array([[0.0, 0.0, 9.0, 9.0]])
    second = np.array([[5.0, 0.0, 14.0, 9.0], [10.0, 0.0, 19.0, 9.0]])
    assert np.allclose(box_iou(first, second), [[1 / 3, 0]])


def test_cosine_distance_by_hand():
    first = np.array([[1.0, 0.0], [0.0, 1.0], [0.6, 0.8]])
    second = np.array([[0.8, 0.6], [1.0, 0.0], [0.6, 0.8]])
    assert np.allclose(cosine_distance(first, second), [0.2, 1, 0])


def test_embeddings_of_no_length_are_at_no_distance():
    assert cosine_distance(np.empty((3, 0)), np.empty((3, 0))).tolist() == [0] * 3


def test_costs_are_assigned_as_by_one_solver_over_all():
    rng = np.random.default_rng(0)
    for rows, columns in [(8, 8), (3, 9), (9, 2), (40, 30), (0, 3)]:
        for density in (0.05, 0.3, 1.0):
            costs = rng.uniform(0, 1, (rows, columns))
            costs[rng.random(costs.shape) > density] = np.inf
            matched, found = assign(costs, 0.7)
            finite = np.where(costs > 0.7, 10, costs)
            # Leaving both sides alone costs the limit: padded, SciPy's is the optimum.
            padded = np.full((rows + columns, rows + columns), 0.35)
            padded[:rows, :columns] = finite
            padded[rows:, columns:] = 0
            best = padded[linear_sum_assignment(padded)].sum()
            total = costs[matched, found].sum() + 0.35 * (
                rows + columns - 2 * len(matched)
            )
            assert total == pytest.approx(best)
            assert len(set(found)) == len(found)
