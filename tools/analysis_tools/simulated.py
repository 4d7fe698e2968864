"""Simulated detections: each scene is difficult for a tracker in one way.

Boxes, scores and embeddings as a detector might give them, with the ground truth, so
that options of a tracker can be measured without a network.
"""

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

from fairmot_mm.formats.boxes import xyxy_to_xywh

WIDTH, HEIGHT = 640, 360
EMBEDDING = 32


@dataclass(frozen=True)
class SimulatedFrame:
    """Detections of a frame, best first.

    Attributes:
        bboxes: (M, 4) xyxy in pixels.
        scores: (M,).
        embeddings: (M, D) of length 1.
        image: (H, W, 3) uint8, where the scene has images.
    """

    bboxes: np.ndarray
    scores: np.ndarray
    embeddings: np.ndarray
    image: np.ndarray | None = None


@dataclass(frozen=True)
class SimulatedSequence:
    """A scene.

    Attributes:
        truth: (N, 6) frame (from 1), identity (from 1), x, y, w, h.
        frames: The detections.
    """

    truth: np.ndarray
    frames: list[SimulatedFrame]


class _People:
    """People who walk to and fro, each along their own line."""

    def __init__(self, count: int, num_frames: int, rng: np.random.Generator) -> None:
        self.rng = rng
        self.count, self.num_frames = count, num_frames
        self.heights = rng.uniform(50, 90, count)
        middle = np.column_stack(
            (rng.uniform(100, WIDTH - 100, count), rng.uniform(60, HEIGHT - 60, count))
        )
        reach = np.column_stack((rng.uniform(40, 90, count), rng.uniform(0, 15, count)))
        phase = rng.uniform(0, 2 * np.pi, (count, 1))
        pace = rng.uniform(0.02, 0.04, (count, 1))
        time = np.arange(num_frames)[:, None, None]
        # (frames, people, 2)
        self.centres = middle + reach * np.sin(phase + pace * time)
        self.means = _unit(rng.normal(size=(count, EMBEDDING)))

    def boxes(self, frame: int, shift: np.ndarray | float = 0.0) -> np.ndarray:
        """Boxes (count, 4) xyxy of a frame, moved by a shift of the camera."""
        half = np.column_stack((0.2 * self.heights, 0.5 * self.heights))
        centre = self.centres[frame] + shift
        return np.concatenate((centre - half, centre + half), axis=1)

    def embeddings(self, noise: float) -> np.ndarray:
        """Embeddings (count, D) of one frame."""
        return _unit(self.means + noise * self.rng.normal(size=self.means.shape))

    def spells(self, length: int, every: int) -> np.ndarray:
        """Mask (frames, count), true for ``length`` frames in ``every``."""
        start = self.rng.integers(0, every, self.count)
        # False for everybody at the start.
        time = np.maximum(np.arange(self.num_frames)[:, None] + start, every)
        return (time - every) % every >= every - length


def _truth(boxes: list[np.ndarray]) -> np.ndarray:
    rows = [
        (np.full(len(b), frame), np.arange(1, len(b) + 1), xyxy_to_xywh(b))
        for frame, b in enumerate(boxes, 1)
    ]
    return np.concatenate([np.column_stack(row) for row in rows])


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def _frame(
    boxes: np.ndarray,
    scores: np.ndarray,
    embeddings: np.ndarray,
    image: np.ndarray | None = None,
) -> SimulatedFrame:
    order = np.argsort(-scores, kind="stable")
    return SimulatedFrame(
        boxes[order].astype(np.float32), scores[order], embeddings[order], image
    )


def low_scores(seed: int, num_frames: int = 90, count: int = 12) -> SimulatedSequence:
    """People with low scores for a while, among low-score false positives."""
    rng = np.random.default_rng(seed)
    people = _People(count, num_frames, rng)
    low = people.spells(length=15, every=40)
    boxes = [people.boxes(i) for i in range(num_frames)]
    frames = []
    for i, truth in enumerate(boxes):
        high = rng.uniform(0.6, 0.9, count)
        scores = np.where(low[i], rng.uniform(0.15, 0.35, count), high)
        false = rng.uniform((0, 0), (WIDTH - 40, HEIGHT - 80), (3, 2))
        found = np.concatenate(
            (
                truth + rng.normal(0, 1, truth.shape),
                np.concatenate((false, false + np.array((30, 70))), axis=1),
            )
        )
        embeddings = _unit(rng.normal(size=(3, EMBEDDING)))
        frames.append(
            _frame(
                found,
                np.concatenate((scores, rng.uniform(0.12, 0.35, 3))),
                np.concatenate((people.embeddings(0.05), embeddings)),
            )
        )
    return SimulatedSequence(_truth(boxes), frames)


def moving_camera(
    seed: int, num_frames: int = 60, count: int = 12
) -> SimulatedSequence:
    """A shaking camera, with images, and people who look much alike."""
    rng = np.random.default_rng(seed)
    people = _People(count, num_frames, rng)
    margin = 60
    shifts = rng.uniform(-margin / 2, margin / 2, (num_frames, 2)).round()
    ground = rng.integers(0, 256, (HEIGHT // 6, WIDTH // 6, 3), np.uint8)
    ground = cv2.resize(
        ground, (WIDTH + 2 * margin, HEIGHT + 2 * margin), interpolation=cv2.INTER_CUBIC
    )
    colours = rng.integers(0, 256, (count, 3)).tolist()
    boxes, frames = [], []
    for i, shift in enumerate(shifts):
        truth = people.boxes(i, shift)
        boxes.append(truth)
        x, y = (margin - shift).astype(int)
        image = ground[y : y + HEIGHT, x : x + WIDTH].copy()
        for box, colour in zip(
            truth.round().astype(int).tolist(), colours, strict=True
        ):
            cv2.rectangle(image, box[:2], box[2:], colour, -1)
        frames.append(
            _frame(
                truth + rng.normal(0, 1, truth.shape),
                rng.uniform(0.6, 0.9, count),
                people.embeddings(0.3),
                image,
            )
        )
    return SimulatedSequence(_truth(boxes), frames)


def long_occlusions(
    seed: int, num_frames: int = 90, count: int = 12
) -> SimulatedSequence:
    """People who are not detected for a while but stay in the ground truth."""
    rng = np.random.default_rng(seed)
    people = _People(count, num_frames, rng)
    hidden = people.spells(length=15, every=45)
    boxes = [people.boxes(i) for i in range(num_frames)]
    frames = []
    for i, truth in enumerate(boxes):
        seen = ~hidden[i]
        scores, embeddings = rng.uniform(0.6, 0.9, count), people.embeddings(0.05)
        found = truth + rng.normal(0, 1, truth.shape)
        frames.append(_frame(found[seen], scores[seen], embeddings[seen]))
    return SimulatedSequence(_truth(boxes), frames)


def sudden_moves(seed: int, num_frames: int = 90, count: int = 12) -> SimulatedSequence:
    """People who start and stop; boxes as precise as their scores are high."""
    rng = np.random.default_rng(seed)
    people = _People(count, num_frames, rng)
    boxes, frames = [], []
    for i in range(num_frames):
        start = rng.normal(0, 0.045, (count, 2)) * people.heights[:, None]
        truth = people.boxes(i, start)
        boxes.append(truth)
        scores = rng.uniform(0.6, 0.98, count)
        miss = 0.06 * ((1 - scores) * people.heights)[:, None]
        frames.append(
            _frame(
                truth + miss * rng.normal(size=truth.shape),
                scores,
                people.embeddings(0.05),
            )
        )
    return SimulatedSequence(_truth(boxes), frames)


SCENES: dict[str, Callable[[int], SimulatedSequence]] = dict(
    low_scores=low_scores,
    moving_camera=moving_camera,
    sudden_moves=sudden_moves,
    long_occlusions=long_occlusions,
)
