"""What is scored: ground truth and results, read once for all backends."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from mmengine.logging import print_log

from fairmot_mm.formats.mot import (
    MOTAnnotations,
    MOTSequence,
    check_unique_names,
    evaluated_pedestrians,
    read_gt,
)
from fairmot_mm.formats.mot_results import read_results


@dataclasses.dataclass(frozen=True)
class Case:
    """Ground truth and results of a sequence's evaluated frames, renumbered from 1.

    Attributes:
        length: Number of evaluated frames.
        annotations: Raw ground truth, distractors included.
        results: (N, 7) frame, id, x, y, w, h, score; sorted by (frame, id).
        is_mot15: Whether the whole ground truth has no classes, as in MOT15.
    """

    sequence: MOTSequence
    length: int
    annotations: MOTAnnotations
    results: np.ndarray
    is_mot15: bool

    @property
    def name(self) -> str:
        """Name of the sequence."""
        return self.sequence.name


def load_cases(
    sequences: Sequence[MOTSequence],
    results_dir: str | Path,
    frames: Mapping[str, tuple[int, int]] | None = None,
) -> list[Case]:
    """Read everything before scoring, so that a broken file is reported early.

    Args:
        sequences: Sequences with ground truth.
        results_dir: Folder of the result files, ``NAME.txt``.
        frames: By name of a sequence, the first and last frame to score (from 1,
            inclusive); sequences without an entry are scored whole.

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
        )
        for sequence in sequences
    ]


def _load_case(
    sequence: MOTSequence, result_path: Path, frame_range: tuple[int, int]
) -> Case:
    first, last = frame_range
    if not 1 <= first <= last <= sequence.length:
        raise ValueError(
            f"{sequence.name}: frames {first} to {last} to evaluate, expected a range "
            f"within 1 to {sequence.length}"
        )
    results = read_results(result_path, sequence.length)
    annotations = read_gt(sequence)
    is_mot15 = annotations.is_mot15

    results = results[(results[:, 0] >= first) & (results[:, 0] <= last)]
    results[:, 0] -= first - 1
    annotations = annotations.select(
        (annotations.frames >= first) & (annotations.frames <= last)
    )
    annotations = dataclasses.replace(
        annotations, frames=annotations.frames - (first - 1)
    )
    if not evaluated_pedestrians(annotations).any():
        print_log(
            f"{sequence.gt_path}: no considered pedestrian in frames {first} to "
            f"{last}; {sequence.name} only adds false positives",
            logger="current",
            level=logging.WARNING,
        )
    return Case(sequence, last - first + 1, annotations, results, is_mot15)
