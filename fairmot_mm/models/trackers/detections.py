from dataclasses import dataclass

import numpy as np

from fairmot_mm.structures.arrays import ArrayLike, to_numpy

from .association import normalised
from .tracks import Table

# Pixels: beyond these a box is an error of its source, and its square spoils the
# Kalman filter's covariances.
LARGEST_COORDINATE, SMALLEST_HEIGHT = 1e6, 1e-6


@dataclass
class Detections(Table):
    """M detections as arrays.

    Attributes:
        measurements: (M, 4) centre x and y, width / height, height.
        boxes: (M, 4) xyxy.
    """

    measurements: np.ndarray
    boxes: np.ndarray

    @classmethod
    def select(
        cls,
        bboxes: ArrayLike,
        scores: ArrayLike,
        embeddings: ArrayLike | None,
        labels: ArrayLike | None,
        score_thr: float,
    ) -> tuple["Detections", int]:
        """Check the arguments of ``JDETracker.update``; keep scores above a threshold.

        Returns:
            The detections, and how many more cannot be tracked: they hold NaN or
            infinity, are too large or have no height, hence no aspect ratio.

        Raises:
            ValueError: If the arrays differ in length.
        """
        scores = to_numpy(scores).reshape(-1)
        count = len(scores)
        boxes = _checked("bboxes", bboxes, (count, 4))
        if embeddings is None:
            embeddings = np.empty((count, 0), np.float32)
        embeddings = _checked("embeddings", embeddings, (count, -1))
        labels = np.zeros(count, int) if labels is None else labels
        labels = _checked("labels", labels, (count,))

        chosen = ~(scores <= score_thr)  # NaN as well, to be counted
        with np.errstate(over="ignore", invalid="ignore"):
            lengths = np.linalg.norm(embeddings, axis=1)
            height = np.abs(boxes[:, 3] - boxes[:, 1])
            usable = np.isfinite(np.column_stack((scores, labels, lengths))).all(1)
            usable &= (np.abs(boxes) <= LARGEST_COORDINATE).all(1)
            usable &= height >= SMALLEST_HEIGHT
        dropped = int((chosen & ~usable).sum())
        chosen &= usable
        # Sides in the precision of the detector, everything after in double: the
        # reference implementation's order of roundings.
        top_left = boxes[chosen, :2].astype(float)
        sides = (boxes[chosen, 2:] - boxes[chosen, :2]).astype(float)
        aspect, height = sides[:, 0] / sides[:, 1], sides[:, 1]
        found = cls(
            measurements=np.column_stack((top_left + sides / 2, aspect, height)),
            boxes=np.concatenate((top_left, top_left + sides), axis=1),
            scores=scores[chosen],
            labels=labels[chosen],
            embeddings=normalised(embeddings[chosen]),
        )
        return found, dropped


def _checked(name: str, values: ArrayLike, shape: tuple[int, ...]) -> np.ndarray:
    """Values as an array of the given shape, in which -1 stands for any size."""
    array = to_numpy(values)
    if shape[0] == 0 and array.size == 0:
        return array.reshape(np.maximum(shape, 0))  # whatever its shape
    if array.ndim != len(shape) or any(
        expected not in (-1, given)
        for expected, given in zip(shape, array.shape, strict=True)
    ):
        raise ValueError(
            f"{name} has shape {array.shape}, expected {shape} for {shape[0]} scores"
        )
    return array
