"""What is scored: ground truth and results, read once for all backends."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from mmengine.logging import print_log
from scipy.optimize import linear_sum_assignment

from fairmot_mm.formats.mot import (
    MOT_CLASSES,
    NO_CLASS,
    PEDESTRIAN,
    MOTAnnotations,
    MOTSequence,
    check_unique_names,
    evaluated_pedestrians,
    read_gt,
)
from fairmot_mm.formats.mot_results import read_results

# TrackEval's protocol without distractors: what is considered is scored.
PLAIN = "MOT15"
_MATCHING_IOU = 0.5
_IGNORED_SHARE = 0.5  # of a result's area


@dataclasses.dataclass(frozen=True)
class Case:
    """Ground truth and results of a sequence's evaluated frames, renumbered from 1.

    Attributes:
        name: Name of the sequence.
        source: The file of the ground truth.
        length: Number of evaluated frames.
        annotations: Raw ground truth, distractors included.
        results: (N, 7) frame, id, x, y, w, h, score; sorted by (frame, id). An eighth
            column is the class, for :func:`by_class`.
        protocol: TrackEval's name of it: ``MOT15``, ``MOT17`` (and MOT16) or ``MOT20``.
        every_frame: Whether motmetrics scores frames without results, which the
            reference implementation does not.
    """

    name: str
    source: str | Path
    length: int
    annotations: MOTAnnotations
    results: np.ndarray
    protocol: str = PLAIN
    every_frame: bool = False

    def of_class(self, numbers: ClassNumbers) -> Case:
        """The ground truth and the results of one class; all results without a column.

        Pedestrians of MOTChallenge's ground truth keep the benchmark's protocol. Every
        other class has a plain one, as BDD100K has it in TrackEval: results that match
        (IoU of 0.5 or more, one to one) an object count, others that have more than
        half of their area within a box with mark 0, of whatever class, are neither
        right nor wrong, and the rest is wrong.

        Args:
            numbers: What the class is called in ``annotations`` and ``results``.
        """
        results = self.results
        if results.shape[1] > 7:
            results = results[results[:, 7] == numbers.result]
        annotations = self.annotations
        if numbers.is_benchmark:
            if numbers.annotation == PEDESTRIAN:
                return dataclasses.replace(self, results=results)
            # The benchmark marks pedestrians alone as considered.
            marks = np.ones_like(annotations.marks)
            annotations = dataclasses.replace(annotations, marks=marks)
        considered = annotations.marks != 0
        classes = np.where(annotations.classes == NO_CLASS, 1, annotations.classes)
        objects = annotations.select(considered & (classes == numbers.annotation))
        excused = _excused(objects, annotations.select(~considered), results)
        objects = dataclasses.replace(
            objects, classes=np.full_like(objects.classes, NO_CLASS)
        )
        return dataclasses.replace(
            self,
            annotations=objects,
            results=results[~excused],
            protocol=PLAIN,
            every_frame=True,
        )


class ClassNumbers(NamedTuple):
    """Numbers of a class.

    Attributes:
        annotation: In the ground truth.
        result: In the eighth column of the results.
        is_benchmark: Whether the ground truth's classes are MOTChallenge's.
    """

    annotation: int
    result: int
    is_benchmark: bool = False


def by_class(
    cases: Sequence[Case], classes: Mapping[str, ClassNumbers]
) -> dict[str, list[Case]]:
    """Split cases whose results have a column for the class by :meth:`Case.of_class`.

    A class without ground truth is warned of.
    """
    split = {
        name: [case.of_class(numbers) for case in cases]
        for name, numbers in classes.items()
    }
    present = with_ground_truth(split)
    for name in (name for name in split if name not in present):
        print_log(
            f"{name}: not a single box in the ground truth of {len(cases)} sequences; "
            "it is left out of the average over classes",
            logger="current",
            level=logging.WARNING,
        )
    return split


def with_ground_truth(cases: Mapping[str, Iterable[Case]]) -> list[str]:
    """Classes that have an object in some sequence."""
    return [
        name
        for name, of_class in cases.items()
        if any(evaluated_pedestrians(case.annotations).any() for case in of_class)
    ]


def mot_classes(names: Iterable[str], labels: Sequence[str]) -> dict[str, ClassNumbers]:
    """Classes of MOTChallenge's ground truth.

    Args:
        names: Classes to score.
        labels: Names of the results' classes, from 1.

    Raises:
        ValueError: MOTChallenge, or the results, do not know a class.
    """
    for name in names:
        for known in (MOT_CLASSES, labels):
            if name not in known:
                raise ValueError(f"no class {name!r}, choose from {', '.join(known)}")
    return {
        name: ClassNumbers(MOT_CLASSES.index(name) + 1, labels.index(name) + 1, True)
        for name in names
    }


def load_cases(
    sequences: Sequence[MOTSequence],
    results_dir: str | Path,
    frames: Mapping[str, tuple[int, int]] | None = None,
    with_classes: bool = False,
) -> list[Case]:
    """Read everything before scoring, so that a broken file is reported early.

    Args:
        sequences: Sequences with ground truth.
        results_dir: Folder of the result files, ``NAME.txt``.
        frames: By name of a sequence, the first and last frame to score (from 1,
            inclusive); sequences without an entry are scored whole.
        with_classes: Read the classes of the results, for :func:`by_class`.

    Raises:
        FileNotFoundError: A result file or ground truth is missing.
        ValueError: A file is malformed, a range is outside its sequence, two sequences
            share a name, or there are none.
    """
    if not sequences:
        raise ValueError("no sequences to evaluate")
    check_unique_names(sequences)
    frames = frames or {}
    unknown = frames.keys() - {sequence.name for sequence in sequences}
    if unknown:
        raise ValueError(
            f"frames are given for {', '.join(sorted(unknown))}, which is not among "
            "the evaluated sequences"
        )
    return [
        _load_case(
            sequence,
            Path(results_dir) / f"{sequence.name}.txt",
            frames.get(sequence.name, (1, sequence.length)),
            with_classes,
        )
        for sequence in sequences
    ]


def _load_case(
    sequence: MOTSequence,
    result_path: Path,
    frame_range: tuple[int, int],
    with_classes: bool,
) -> Case:
    first, last = frame_range
    if not 1 <= first <= last <= sequence.length:
        raise ValueError(
            f"{sequence.name}: frames {first} to {last} to evaluate, expected a range "
            f"within 1 to {sequence.length}"
        )
    results = read_results(result_path, sequence.length, with_classes)
    annotations = read_gt(sequence)
    protocol = "MOT20" if sequence.name.startswith("MOT20") else "MOT17"
    protocol = "MOT15" if annotations.is_mot15 else protocol

    results = results[(results[:, 0] >= first) & (results[:, 0] <= last)]
    results[:, 0] -= first - 1
    annotations = annotations.select(
        (annotations.frames >= first) & (annotations.frames <= last)
    )
    annotations = dataclasses.replace(
        annotations, frames=annotations.frames - (first - 1)
    )
    if not with_classes and not evaluated_pedestrians(annotations).any():
        print_log(
            f"{sequence.gt_path}: no considered pedestrian in frames {first} to "
            f"{last}; {sequence.name} only adds false positives",
            logger="current",
            level=logging.WARNING,
        )
    length = last - first + 1
    return Case(sequence.name, sequence.gt_path, length, annotations, results, protocol)


def _excused(
    objects: MOTAnnotations, ignored: MOTAnnotations, results: np.ndarray
) -> np.ndarray:
    """Mask (N,) of the results within ignored boxes that match no object."""
    excused = np.zeros(len(results), bool)
    for frame in np.unique(ignored.frames):
        rows = np.flatnonzero(results[:, 0] == frame)
        boxes = results[rows, 2:6]
        regions = ignored.boxes[ignored.frames == frame]
        areas = np.maximum(boxes[:, 2] * boxes[:, 3], np.finfo(float).tiny)
        shares = intersections(regions, boxes) / areas
        excused[rows] = (shares > _IGNORED_SHARE).any(0)
        here = objects.boxes[objects.frames == frame]
        common = intersections(here, boxes)
        unions = (here[:, 2] * here[:, 3])[:, None] + areas - common
        ious = common / unions
        ious[ious < _MATCHING_IOU] = 0
        pairs = linear_sum_assignment(-ious)
        excused[rows[pairs[1][ious[pairs] > 0]]] = False
    return excused


def intersections(boxes: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Areas (N, M) that (N, 4) and (M, 4) xywh boxes have in common."""
    boxes, others = boxes[:, None], others[None]
    first = np.maximum(boxes[..., :2], others[..., :2])
    last = np.minimum(
        boxes[..., :2] + boxes[..., 2:], others[..., :2] + others[..., 2:]
    )
    return (last - first).clip(0).prod(-1)
