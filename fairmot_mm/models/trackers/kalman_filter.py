import numpy as np

States = tuple[np.ndarray, np.ndarray]  # means and covariances

# 0.95 quantile of the chi-square distribution with 4 degrees of freedom.
GATE = 9.4877

# Standard deviations relative to a box's height (Wojke et al., DeepSORT, section 2.1);
# those of the aspect ratio are absolute.
_POSITION, _VELOCITY = 1 / 20, 1 / 160


def _variances(
    height: np.ndarray, position: float, aspect: float, velocity: float, drift: float
) -> np.ndarray:
    """Variances (N, 8), position and velocity given in units of the height."""
    deviations = np.outer(height, (position,) * 4 + (velocity,) * 4)
    deviations[:, 2], deviations[:, 6] = aspect, drift
    return np.square(deviations)


class KalmanFilter:
    """Constant-velocity Kalman filter over many boxes at once.

    The state of a box is (x, y, a, h, vx, vy, va, vh): centre in pixels, aspect ratio
    width / height, height in pixels, and their change per frame. (x, y, a, h) is
    observed. Means are arrays (N, 8), covariances (N, 8, 8), measurements (N, 4).

    Args:
        noise_by_score: Whether the noise covariance of a measurement is multiplied by
            one minus its score (NSA, Du et al., *GIAOTracker*, arXiv:2202.11983).
    """

    def __init__(self, noise_by_score: bool = False) -> None:
        self.noise_by_score = noise_by_score

    def initiate(self, measurements: np.ndarray) -> States:
        """Start states at rest from measurements (M, 4)."""
        means = np.concatenate((measurements, np.zeros_like(measurements)), axis=1)
        variances = _variances(means[:, 3], 2 * _POSITION, 1e-2, 10 * _VELOCITY, 1e-5)
        return means, variances[:, :, None] * np.eye(8)

    def predict(
        self, means: np.ndarray, covariances: np.ndarray, frames: float = 1
    ) -> States:
        """Move states on by so many frames at once.

        The noise is the sum of what that many steps add, those of the velocity being
        carried on into the position; for parts of a frame, the same polynomials.
        """
        motion = np.eye(8) + frames * np.eye(8, k=4)
        noise = _variances(means[:, 3], _POSITION, 1e-2, _VELOCITY, 1e-5)
        covariances = motion @ covariances @ motion.T
        if frames == 1:  # the published filter, to the digit
            return means @ motion.T, covariances + noise[:, :, None] * np.eye(8)
        position, velocity = frames * noise[:, :4], frames * noise[:, 4:]
        position += velocity * (frames - 1) * (2 * frames - 1) / 6
        added = np.concatenate((position, velocity), axis=1)[:, :, None] * np.eye(8)
        rows = np.arange(4)
        both = velocity * (frames - 1) / 2
        added[:, rows, rows + 4] = added[:, rows + 4, rows] = both
        return means @ motion.T, covariances + added

    def _innovation(
        self, means: np.ndarray, covariances: np.ndarray, scores: np.ndarray | float = 0
    ) -> np.ndarray:
        """Covariances (N, 4, 4) of the residuals."""
        noise = _variances(means[:, 3], _POSITION, 1e-1, 0, 0)[:, :4]
        if self.noise_by_score:
            # Not zero: a score of 1 would make the covariance singular.
            noise = noise * np.clip(1 - np.asarray(scores), 1e-3, 1)[..., None]
        return covariances[:, :4, :4] + noise[:, :, None] * np.eye(4)

    def update(
        self,
        means: np.ndarray,
        covariances: np.ndarray,
        measurements: np.ndarray,
        scores: np.ndarray | float = 0,
    ) -> States:
        """Correct N states by their N measurements (N, 4) and, for NSA, scores (N,)."""
        innovation = self._innovation(means, covariances, scores)
        gain = np.linalg.solve(innovation, covariances[:, :4]).transpose(0, 2, 1)
        residual = (measurements - means[:, :4])[:, :, None]
        means = means + (gain @ residual)[:, :, 0]
        return means, covariances - gain @ innovation @ gain.transpose(0, 2, 1)

    def gated_pairs(
        self, means: np.ndarray, covariances: np.ndarray, measurements: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The pairs of N states and M measurements (M, 4) that the gate lets through.

        Returns:
            (P,) index of the state, (P,) of the measurement, and (P,) their squared
            Mahalanobis distance, at most ``GATE``.
        """
        innovation = self._innovation(means, covariances)
        try:
            whitening = np.linalg.inv(np.linalg.cholesky(innovation))
        except np.linalg.LinAlgError:
            # A box that shrank a thousandfold leaves a covariance without valid digits.
            values, vectors = np.linalg.eigh(innovation)
            values = np.maximum(values, 1e-12 * values[:, -1:])
            whitening = vectors.transpose(0, 2, 1) / np.sqrt(values)[:, :, None]
            innovation = (vectors * values[:, None]) @ vectors.transpose(0, 2, 1)
        # No distance is less than a residual's square over its variance alone: in a
        # crowd, x and y leave a few of a hundred pairs, or of a million.
        variances = np.diagonal(innovation, axis1=1, axis2=2)[:, :2]
        reach = np.sqrt(GATE * variances) * (1 + 1e-9)  # for the rounding
        rows, columns = near_pairs(means[:, :2], reach, measurements[:, :2])
        # With L L^T the covariance, the distance is |L^-1 z|^2.
        residuals = measurements[columns] - means[rows, :4]
        whitened = (whitening[rows] @ residuals[:, :, None])[:, :, 0]
        distances = np.square(whitened).sum(1)
        within = distances <= GATE
        return rows[within], columns[within], distances[within]


def near_pairs(
    centers: np.ndarray, reach: np.ndarray, points: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The pairs of N rectangles and M points in them, without looking at all N * M.

    Args:
        centers: (N, 2) x and y of the rectangles.
        reach: (N, 2) half of their sides.
        points: (M, 2).

    Returns:
        (P,) index of the rectangle, ascending, and (P,) of the point.
    """
    order = np.argsort(points[:, 0])
    across = points[order, 0]
    first = np.searchsorted(across, centers[:, 0] - reach[:, 0], "left")
    last = np.searchsorted(across, centers[:, 0] + reach[:, 0], "right")
    counts = np.maximum(last - first, 0)
    rows = np.repeat(np.arange(len(centers)), counts)
    # Each rectangle's points by x are first, first + 1, ..., last - 1.
    place = np.arange(len(rows)) - np.repeat(np.cumsum(counts) - counts - first, counts)
    columns = order[place]
    near = np.abs(points[columns, 1] - centers[rows, 1]) <= reach[rows, 1]
    return rows[near], columns[near]
