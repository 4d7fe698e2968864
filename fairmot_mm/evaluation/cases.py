"""What is scored: ground truth and results, read once for all backends."""

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pycocotools.mask
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
MATCHING_IOU = 0.5
_IGNORED_SHARE = 0.5  # of a result's area


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


@dataclass(frozen=True)
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

    def between(self, first: int, last: int) -> "Case":
        """The frames from ``first`` to ``last``, inclusive, renumbered from 1."""
        frames = self.annotations.frames
        annotations = self.annotations.select((frames >= first) & (frames <= last))
        annotations = replace(annotations, frames=annotations.frames - (first - 1))
        frames = self.results[:, 0]
        results = self.results[(frames >= first) & (frames <= last)]
        results[:, 0] -= first - 1
        length = last - first + 1
        return replace(self, length=length, annotations=annotations, results=results)

    def every(self, step: int) -> "Case":
        """Every so many-th frame from the first on, renumbered from 1."""
        frames = self.annotations.frames - 1
        annotations = self.annotations.select(frames % step == 0)
        annotations = replace(annotations, frames=(annotations.frames - 1) // step + 1)
        results = self.results[(self.results[:, 0] - 1) % step == 0]
        results[:, 0] = (results[:, 0] - 1) // step + 1
        length = (self.length - 1) // step + 1
        return replace(self, length=length, annotations=annotations, results=results)

    def of_class(self, numbers: ClassNumbers) -> "Case":
        """The ground truth and the results of one class; all results without a column.

        Pedestrians of MOTChallenge's ground truth keep the benchmark's protocol. Every
        other class has a plain one, as BDD100K has it in TrackEval: results that match
        (IoU of 0.5 or more, one to one) an object count, others that have more than
        half of their area within a box with mark 0, of whatever class, are neither
        right nor wrong, and the rest is wrong.
        """
        results, annotations = self.results, self.annotations
        if results.shape[1] > 7:
            results = results[results[:, 7] == numbers.result]
        if numbers.is_benchmark:
            if numbers.annotation == PEDESTRIAN:
                return replace(self, results=results)
            # The benchmark marks pedestrians alone as considered.
            annotations = replace(annotations, marks=np.ones(len(annotations), int))
        considered = annotations.marks != 0
        classes = np.where(annotations.classes == NO_CLASS, 1, annotations.classes)
        objects = annotations.select(considered & (classes == numbers.annotation))
        excused = _excused(objects, annotations.select(~considered), results)
        return replace(
            self,
            annotations=replace(objects, classes=np.full(len(objects), NO_CLASS)),
            results=results[~excused],
            protocol=PLAIN,
            every_frame=True,
        )


def by_class(
    cases: Sequence[Case], classes: Mapping[str, ClassNumbers]
) -> dict[str, list[Case]]:
    """Split cases by :meth:`Case.of_class`; warns of classes without ground truth."""
    split = {name: [x.of_class(classes[name]) for x in cases] for name in classes}
    present = with_ground_truth(split)
    for name in [name for name in split if name not in present]:
        _warn(
            f"{name}: not a single box in the ground truth of {len(cases)} sequences; "
            "it is left out of the average over classes"
        )
    return split


def with_ground_truth(cases: Mapping[str, Iterable[Case]]) -> list[str]:
    """Classes that have an object in some sequence."""
    return [name for name in cases if any(map(_has_objects, cases[name]))]


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
    ranges = {x.name: (1, x.length) for x in sequences} | dict(frames or {})
    if len(ranges) > len(sequences):
        unknown = sorted(ranges.keys() - {x.name for x in sequences})
        raise ValueError(
            f"frames are given for {', '.join(unknown)}, which is not among the "
            "evaluated sequences"
        )
    folder = Path(results_dir)
    return [_load_case(x, folder, *ranges[x.name], with_classes) for x in sequences]


def _load_case(
    sequence: MOTSequence, folder: Path, first: int, last: int, with_classes: bool
) -> Case:
    name, length = sequence.name, sequence.length
    if not 1 <= first <= last <= length:
        raise ValueError(
            f"{name}: frames {first} to {last} to evaluate, expected a range within 1 "
            f"to {length}"
        )
    results = read_results(folder / f"{name}.txt", length, with_classes)
    annotations = read_gt(sequence)
    protocol = "MOT20" if name.startswith("MOT20") else "MOT17"
    protocol = PLAIN if annotations.is_mot15 else protocol
    case = Case(name, sequence.gt_path, length, annotations, results, protocol)
    case = case.between(first, last)
    if not with_classes and not _has_objects(case):
        _warn(
            f"{case.source}: no considered pedestrian in frames {first} to {last}; "
            f"{name} only adds false positives"
        )
    return case


def _has_objects(case: Case) -> bool:
    return bool(evaluated_pedestrians(case.annotations).any())


def _warn(text: str) -> None:
    print_log(text, logger="current", level=logging.WARNING)


def _excused(
    objects: MOTAnnotations, ignored: MOTAnnotations, results: np.ndarray
) -> np.ndarray:
    """Mask (N,) of the results within ignored boxes that match no object."""
    excused = np.zeros(len(results), bool)
    for frame in np.unique(ignored.frames):
        rows = np.flatnonzero(results[:, 0] == frame)
        boxes = results[rows, 2:6]
        # Of a "crowd" COCO takes the intersection over the area of the first box.
        shares = overlaps(boxes, ignored.boxes[ignored.frames == frame], crowd=True)
        excused[rows] = (shares > _IGNORED_SHARE).any(1)
        ious = overlaps(objects.boxes[objects.frames == frame], boxes)
        ious[ious < MATCHING_IOU] = 0
        pairs = linear_sum_assignment(-ious)
        excused[rows[pairs[1][ious[pairs] > 0]]] = False
    return excused


def overlaps(boxes: np.ndarray, others: np.ndarray, crowd: bool = False) -> np.ndarray:
    """IoU (N, M) of (N, 4) and (M, 4) xywh boxes."""
    overlaps = pycocotools.mask.iou(boxes, others, [crowd] * len(others))
    return np.reshape(overlaps, (len(boxes), len(others)))
