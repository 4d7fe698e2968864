import numpy as np
import pytest

from fairmot_mm.models.trackers.kalman_filter import GATE, KalmanFilter, near_pairs


@pytest.fixture
def states() -> tuple[np.ndarray, np.ndarray]:
    """Three boxes after two steps, with full covariances."""
    rng = np.random.default_rng(0)
    kalman = KalmanFilter()
    boxes = np.column_stack(
        (rng.uniform(0, 500, (3, 2)), [0.4, 0.5, 0.3], [80, 200, 40])
    )
    means, covariances = kalman.initiate(boxes)
    for _ in range(2):
        means, covariances = kalman.predict(means, covariances)
        means, covariances = kalman.update(
            means, covariances, boxes + np.array([3, -2, 0, 1])
        )
    return means, covariances


def test_start_by_hand():
    means, covariances = KalmanFilter().initiate(np.array([[10.0, 20.0, 0.5, 80.0]]))
    assert means.tolist() == [[10, 20, 0.5, 80, 0, 0, 0, 0]]
    deviations = [8, 8, 1e-2, 8, 5, 5, 1e-5, 5]
    assert np.allclose(covariances[0], np.diag(np.square(deviations)))


def test_prediction_adds_the_velocity(states):
    means, covariances = states
    moved, spread = KalmanFilter().predict(means, covariances)
    assert np.allclose(moved[:, :4], means[:, :4] + means[:, 4:])
    assert np.allclose(moved[:, 4:], means[:, 4:])
    assert (np.linalg.det(spread) > np.linalg.det(covariances)).all()


def test_update_is_the_textbook_one(states):
    means, covariances = states
    measured = means[:, :4] + [5, 5, 0.02, 4]
    given = KalmanFilter().update(means, covariances, measured)
    observe = np.eye(4, 8)
    for i in range(3):
        height = means[i, 3]
        noise = np.diag(np.square([height / 20, height / 20, 0.1, height / 20]))
        innovation = observe @ covariances[i] @ observe.T + noise
        gain = covariances[i] @ observe.T @ np.linalg.inv(innovation)
        mean = means[i] + gain @ (measured[i] - observe @ means[i])
        covariance = (np.eye(8) - gain @ observe) @ covariances[i]
        assert np.allclose(given[0][i], mean)
        assert np.allclose(given[1][i], covariance)


def test_the_gate_is_by_the_squared_mahalanobis_distance(states):
    means, covariances = states
    steps = np.random.default_rng(1).normal(0, [12, 12, 0.1, 12], (60, 4))
    measured = np.concatenate([mean + steps for mean in means[:, :4]])
    rows, columns, distances = KalmanFilter().gated_pairs(means, covariances, measured)
    given = {(i, j): d for i, j, d in zip(rows, columns, distances, strict=True)}
    for i in range(3):
        noise = np.square(np.array([1 / 20, 1 / 20, 0, 1 / 20]) * means[i, 3])
        noise[2] = 0.01
        inverse = np.linalg.inv(covariances[i, :4, :4] + np.diag(noise))
        for j in range(len(measured)):
            difference = measured[j] - means[i, :4]
            distance = difference @ inverse @ difference
            assert ((i, j) in given) == (distance <= GATE)
            if distance <= GATE:
                assert given[i, j] == pytest.approx(distance)
    assert 30 < len(given) < 150  # some of each


@pytest.mark.parametrize(("rectangles", "points"), [(40, 60), (0, 5), (5, 0), (1, 1)])
def test_near_pairs_are_all_of_them(rectangles, points):
    rng = np.random.default_rng(0)
    centers = rng.uniform(0, 20, (rectangles, 2)).round()
    reach = rng.uniform(0, 5, (rectangles, 2)).round()  # points on borders as well
    points = rng.uniform(0, 20, (points, 2)).round()
    inside = (np.abs(points - centers[:, None]) <= reach[:, None]).all(2)
    rows, columns = near_pairs(centers, reach, points)
    assert len(rows) == inside.sum()
    assert inside[rows, columns].all()
    assert (np.diff(rows) >= 0).all()
    assert len({*zip(rows, columns, strict=True)}) == len(rows)


def test_three_frames_at_once_are_three_predictions(states):
    means, covariances = states
    means = means.copy()
    means[:, 7] = 0  # the noise follows the height
    once = KalmanFilter().predict(means, covariances, 3)
    for _ in range(3):
        means, covariances = KalmanFilter().predict(means, covariances)
    assert np.allclose(once[0], means)
    assert np.allclose(once[1], covariances)
    assert (np.linalg.eigvalsh(KalmanFilter().predict(*states, 0.3)[1]) > 0).all()
