"""How far an exported network is from PyTorch's."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch

from fairmot_mm.models.dense_heads.decoding import decode_boxes

from .backends import Backend
from .graph import OUTPUTS, PeakGraph

# Peaks per frame that are compared, if there are so many.
_FEWEST = 20


@dataclass
class Differences:
    """Differences between an exported network and PyTorch's at the best peaks.

    Attributes:
        scores: (P,) of the peaks' scores; a peak that the other has not within one cell
            counts with its whole score.
        boxes: (P,) greatest difference of a side in cells (4 pixels of the input).
        embeddings: (P,) 1 - cosine.
    """

    scores: np.ndarray
    boxes: np.ndarray
    embeddings: np.ndarray

    def figures(self, precision: str) -> dict[str, float]:
        """What is limited: the greatest differences of float32, the mean of int8."""
        summary = np.max if precision == "float32" else np.mean
        names = ("scores", "boxes", "embeddings")
        return {name: float(summary(getattr(self, name))) for name in names}

    def check(self, precision: str, path: object) -> None:
        """Compare with the limits.

        Raises:
            ValueError: If a difference is beyond what :data:`LIMITS` allows.
        """
        limits, figures = LIMITS[precision], self.figures(precision)
        wrong = [
            f"{name} by {figure:.2g} (limit {limits[name]})"
            for name, figure in figures.items()
            if not figure <= limits[name]  # true for NaN
        ]
        if wrong:
            raise ValueError(
                f"{path} differs from PyTorch in its {', '.join(wrong)}: it was "
                "written, but do not use it"
            )

    def __str__(self) -> str:
        parts = (
            f"{name} {np.mean(values):.2g} (at most {np.max(values):.2g})"
            for name, values in vars(self).items()
        )
        return f"mean difference at {len(self.scores)} peaks: {', '.join(parts)}"


# Of the greatest differences for float32, of the mean ones for int8.
LIMITS = dict(
    float32=dict(scores=0.002, boxes=0.05, embeddings=0.001),
    int8=dict(scores=0.05, boxes=0.5, embeddings=0.1),
)


def compare(
    graph: PeakGraph,
    backend: Backend,
    frames: Iterable[np.ndarray],
    score_thr: float = 0.4,
) -> Differences:
    """Compare an exported network with PyTorch's.

    Scores are compared at the peaks of both, sizes, offsets and embeddings at those of
    PyTorch, in its boxes.

    Args:
        graph: PyTorch's.
        backend: The exported one.
        frames: (1, H, W, 3) uint8 each.
        score_thr: The peaks that score higher are compared, at least the best 20.
    """
    parts = [_at_peaks(graph, backend, frame, score_thr) for frame in frames]
    return Differences(*map(np.concatenate, zip(*parts, strict=True)))


def _at_peaks(
    graph: PeakGraph, backend: Backend, frame: np.ndarray, score_thr: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    every, nowhere = torch.tensor([-1.0]), torch.zeros(1, dtype=torch.long)
    with torch.inference_mode():
        outputs = graph(torch.from_numpy(frame), every, nowhere, torch.zeros(1, 4))
    ours = {k: v.numpy() for k, v in zip(OUTPUTS, outputs, strict=True)}
    count = max(_FEWEST, int((ours["scores"] > score_thr).sum()))
    count = min(count, int((ours["scores"] > 0).sum()))
    # The exported network is asked for PyTorch's cells and boxes, whatever its own are.
    cells, sizes, offsets = (out[:count] for out in outputs[2:5])
    map_hw, input_hw = backend.metadata.map_hw, backend.metadata.input_hw
    boxes = decode_boxes(cells, sizes, offsets, map_hw, input_hw)
    theirs = backend.run(frame, every.numpy(), cells.numpy(), boxes.numpy())
    first, width = len(theirs["scores"]), map_hw[1]
    scores = np.concatenate(
        (_nearest(ours, theirs, count, width), _nearest(theirs, ours, count, width))
    )
    a, b = (
        {k: v[part] for k, v in found.items()}
        for found, part in ((ours, slice(count)), (theirs, slice(first, first + count)))
    )
    sides = np.maximum(
        np.abs(a["sizes"] - b["sizes"]).max(1),
        np.abs(a["offsets"] - b["offsets"]).max(1),
    )
    cosine = (a["embeddings"] * b["embeddings"]).sum(1)
    return scores, sides, 1 - cosine


def _nearest(a: dict, b: dict, count: int, width: int) -> np.ndarray:
    """Differences of the scores of ``count`` peaks of ``a`` from those in ``b``.

    Rounding may move a peak between cells that score alike, so neighbours count.
    """
    k = len(b["scores"])
    place_a, place_b = (
        np.stack((p // width, p % width), 1) for p in (a["positions"], b["positions"])
    )
    far = np.abs(place_a[:count, None] - place_b[None, :k]).max(2) > 1
    far |= a["labels"][:count, None] != b["labels"][None]
    difference = np.abs(a["scores"][:count, None] - b["scores"][None])
    missing = a["scores"][:count]
    return np.minimum(np.where(far, np.inf, difference).min(1), missing)
