from dataclasses import dataclass, fields

import numpy as np
from mmengine.logging import print_log
from torch import Tensor

from fairmot_mm.structures.arrays import to_numpy


@dataclass
class Detections:
    """M detections as arrays.

    Attributes:
        measurements: (M, 4) centre x and y, width / height, height.
        boxes: (M, 4) xyxy.
        scores: (M,).
        labels: (M,).
        embeddings: (M, D) of length 1.
    """

    measurements: np.ndarray
    boxes: np.ndarray
    scores: np.ndarray
    labels: np.ndarray
    embeddings: np.ndarray

    def __len__(self) -> int:
        return len(self.scores)

    def __getitem__(self, chosen: np.ndarray) -> "Detections":
        return Detections(
            *(getattr(self, field.name)[chosen] for field in fields(self))
        )

    @classmethod
    def select(
        cls,
        bboxes: Tensor | np.ndarray,
        scores: Tensor | np.ndarray,
        embeddings: Tensor | np.ndarray | None,
        labels: Tensor | np.ndarray | None,
        score_thr: float,
    ) -> "Detections":
        """Check a detector's output and keep what scores above a threshold.

        Boxes without height have no aspect ratio and are dropped, which is logged.

        Args:
            bboxes: (M, 4) xyxy.
            scores: (M,).
            embeddings: (M, D); None stands for D = 0.
            labels: (M,); 0 if None.
            score_thr: The threshold.

        Raises:
            ValueError: If the arrays differ in length, or hold NaN or infinity.
        """
        scores = to_numpy(scores).reshape(-1)
        count = len(scores)
        boxes = _checked("bboxes", bboxes, (count, 4))
        if embeddings is None:
            embeddings = np.empty((count, 0), np.float32)
        embeddings = _checked("embeddings", embeddings, (count, -1))
        labels = np.zeros(count, int) if labels is None else labels
        labels = _checked("labels", labels, (count,))
        scores = _checked("scores", scores, (count,))

        chosen = scores > score_thr
        flat = chosen & (boxes[:, 1] == boxes[:, 3])
        chosen &= ~flat
        if flat.any():
            print_log(f"dropped {flat.sum()} boxes without height", logger="current")
        boxes = boxes[chosen]
        # Sides in the precision of the detector, everything after in double: the
        # reference implementation's order of roundings.
        sides = (boxes[:, 2:] - boxes[:, :2]).astype(float)
        top_left = boxes[:, :2].astype(float)
        return cls(
            measurements=np.column_stack(
                (top_left + sides / 2, sides[:, 0] / sides[:, 1], sides[:, 1])
            ),
            boxes=np.concatenate((top_left, top_left + sides), axis=1),
            scores=scores[chosen],
            labels=labels[chosen],
            embeddings=normalised(embeddings[chosen]),
        )


def normalised(embeddings: np.ndarray) -> np.ndarray:
    """Embeddings (M, D) brought to length 1."""
    lengths = np.linalg.norm(embeddings, axis=1, keepdims=True)
    return embeddings / np.maximum(lengths, np.finfo(np.float32).tiny)


def _checked(
    name: str, values: Tensor | np.ndarray, shape: tuple[int, ...]
) -> np.ndarray:
    """Values as an array of the given shape, in which -1 stands for any size."""
    array = to_numpy(values)
    if shape[0] == 0 and array.size == 0:
        return array.reshape(np.maximum(shape, 0))  # whatever its shape
    fits = array.ndim == len(shape) and all(
        size in (-1, given) for size, given in zip(shape, array.shape, strict=True)
    )
    if not fits:
        raise ValueError(
            f"{name} has shape {array.shape}, expected {shape} for {shape[0]} scores"
        )
    if not np.isfinite(array).all():
        raise ValueError(f"{name} holds NaN or infinity")
    return array
