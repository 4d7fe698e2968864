import numpy as np
import pytest

from fairmot_mm.evaluation.reference_figures import image_figures, verification_rates

BOX = np.array([[0.0, 0, 10, 20], [50, 0, 60, 20]])


def test_detection_equals_the_published_figures(golden):
    numbers = golden("figures.npz")
    figures = []
    for i in range(sum(key.startswith("truth") for key in numbers)):
        found = numbers[f"detections{i}"]
        assert len(found) == 200  # more than count
        if len(truth := numbers[f"truth{i}"]):
            figures.append(image_figures(truth, found[:, :4], found[:, 4]))
    means = np.mean(figures, 0)
    for mean, name in zip(means, ("AP", "recall", "precision"), strict=True):
        assert mean == pytest.approx(numbers[f"figure_{name}"].item(), abs=1e-15)
    assert 0.1 < means[0] < 0.9


def test_identity_equals_the_published_figures(golden):
    numbers = golden("figures.npz")
    known = numbers["identities"] >= 0
    levels = [1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1]
    rates = verification_rates(
        numbers["embeddings"][known], numbers["identities"][known], levels
    )
    assert rates == pytest.approx(numbers["figure_TPR"].tolist(), abs=1e-15)
    assert len(set(rates)) == len(levels)


def test_a_second_best_box_is_not_tried():
    # Both detections overlap the first box most; the second one also overlaps nothing.
    found = np.array([[0.0, 0, 10, 20], [0, 0, 10, 18], [50, 0, 60, 20]])
    scores = np.array([0.9, 0.8, 0.7])
    # Right, wrong, right: 1/2 * 1 + 1/2 * 2/3.
    assert image_figures(BOX, found, scores) == pytest.approx((5 / 6, 1, 2 / 3))
    assert image_figures(BOX, found[:0], scores[:0]) == (0, 0, 0)


def test_an_overlap_of_one_half_is_too_little():
    half = np.array([[0.0, 0, 10, 10]])
    assert image_figures(BOX, half, np.ones(1)) == (0, 0, 0)


def test_only_the_best_128_detections_count():
    found = np.repeat([[200.0, 0, 210, 20]], 129, 0)
    found[128] = BOX[0]
    scores = np.linspace(1, 0.1, 129)
    assert image_figures(BOX, found, scores)[1] == 0
    # Ties are kept.
    scores[128] = scores[127]
    assert image_figures(BOX, found, scores)[1] == 0.5


def test_rates_by_hand():
    # Angles in degrees: identity 0 at 0, 10 and 60, identity 1 at 90 and 100.
    angles = np.radians([0, 10, 60, 90, 100])
    vectors = np.column_stack((np.cos(angles), np.sin(angles))).astype(np.float32)
    ids = np.array([0, 0, 0, 1, 1])
    # Pairs by angle: same 10 and 10, different 30 and 40, same 50 and 60, different 80,
    # 90, 90 and 100: two to four negative pairs behind all positive ones.
    assert verification_rates(vectors, ids, [0.0, 0.25, 0.5]) == [0.5, 0.5, 1]
    # No negative, and no positive pair.
    assert verification_rates(vectors[:3], ids[:3], [0.1]) == []
    assert verification_rates(vectors[[0, 3]], ids[[0, 3]], [0.1]) == []


def test_pairs_of_exactly_zero_do_not_count():
    vectors = np.eye(4, dtype=np.float32)
    vectors[1] = vectors[0]
    ids = np.array([0, 0, 1, 1])
    # All others are orthogonal: one pair remains, and it is positive.
    assert verification_rates(vectors, ids, [0.1]) == []
