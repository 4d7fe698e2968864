"""Tracking figures from result files: by TrackEval, and by motmetrics.

Figures are dicts per sequence and one for ``'COMBINED'``, of fractions (float, 1 is
perfect) and counts (int). Where a fraction has nothing to divide by it is 0.
"""

from __future__ import annotations

import contextlib
import dataclasses
import io
import logging
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import motmetrics
import numpy as np
import trackeval
from mmengine.logging import print_log
from rich import box
from rich.console import Console
from rich.table import Table

from fairmot_mm.formats.mot import (
    MOTAnnotations,
    MOTSequence,
    check_unique_names,
    evaluated_pedestrians,
    read_gt,
)
from fairmot_mm.formats.mot_results import read_results

FRACTIONS = ("HOTA", "DetA", "AssA", "MOTA", "MOTP", "IDF1", "IDP", "IDR")
COUNTS = ("IDSW", "FP", "FN", "MT", "ML", "Frag")
METRICS = FRACTIONS + COUNTS
COMBINED = "COMBINED"

Figures = dict[str, dict[str, float]]

_KNOWN_CLASSES = range(1, 14)
# Person on vehicle, static person, distractor, reflection.
_PUBLISHED_IGNORED_CLASSES = (2, 7, 8, 12)
_MATCHING_IOU = 0.5


@dataclasses.dataclass(frozen=True)
class _Case:
    """Ground truth and result of the evaluated frames, renumbered from 1.

    Attributes:
        sequence: The sequence.
        length: Number of evaluated frames.
        annotations: Raw ground truth, distractors and all.
        results: (N, 7): frame, id, x, y, w, h, score; sorted by (frame, id).
        benchmark: TrackEval's name of the protocol.
    """

    sequence: MOTSequence
    length: int
    annotations: MOTAnnotations
    results: np.ndarray
    benchmark: str


def evaluate_trackeval(
    sequences: Sequence[MOTSequence],
    results_dir: str | Path,
    frames: Mapping[str, tuple[int, int]] | None = None,
) -> Figures:
    """Score by TrackEval under the benchmark's own protocol.

    The raw ground truth is used: a detection that matches a distractor (static
    person, person on vehicle, reflection, ...) is neither right nor wrong. The
    protocol is that of MOT15 where the ground truth has no classes, of MOT20 for
    sequences named so, of MOT17 (and MOT16) otherwise. HOTA, DetA and AssA are means
    over the localisation thresholds.

    Args:
        sequences: Sequences with ground truth.
        results_dir: Folder of the result files, ``NAME.txt``.
        frames: First and last frame (from 1, inclusive) to score of some sequences,
            by name; the others are scored whole.

    Returns:
        All of ``METRICS`` by sequence, and for ``'COMBINED'``.

    Raises:
        FileNotFoundError: A result file or ground truth is missing.
        ValueError: A file is malformed, a range is outside its sequence, the
            sequences are of more than one protocol, or there are none.
    """
    cases = _load_cases(sequences, results_dir, frames)
    benchmark = _common_benchmark(cases)
    metrics = (
        trackeval.metrics.HOTA(),
        trackeval.metrics.CLEAR({"PRINT_CONFIG": False}),
        trackeval.metrics.Identity({"PRINT_CONFIG": False}),
    )
    # TrackEval prints as it goes.
    with (
        tempfile.TemporaryDirectory() as folder,
        contextlib.redirect_stdout(io.StringIO()),
    ):
        dataset = _trackeval_dataset(Path(folder), cases, benchmark)
        scores: list[dict[str, dict[str, Any]]] = [{} for _ in metrics]
        for case in cases:
            name = case.sequence.name
            raw = dataset.get_raw_seq_data("tracker", name)
            data = dataset.get_preprocessed_seq_data(raw, "pedestrian")
            for metric, score in zip(metrics, scores, strict=True):
                score[name] = metric.eval_sequence(data)
        for metric, score in zip(metrics, scores, strict=True):
            score[COMBINED] = metric.combine_sequences(score)
    names = [case.sequence.name for case in cases]
    return {
        name: _trackeval_figures(*(score[name] for score in scores))
        for name in (*names, COMBINED)
    }


def evaluate_motmetrics(
    sequences: Sequence[MOTSequence],
    results_dir: str | Path,
    frames: Mapping[str, tuple[int, int]] | None = None,
) -> Figures:
    """Score by motmetrics, the way the published FairMOT code does.

    Results that match (IoU of 0.5 or more, one to one) an ignored box, that is a
    person on a vehicle, a static person, a distractor or a reflection, or one with
    negative visibility, are removed; the rest is matched with the considered
    pedestrians. As in the published code only the frames that occur in the result
    file are walked: people on a frame without any result are not counted as missed.
    A warning says how many such frames there are. Unlike the published code, which
    tells the data set from the path and does not filter others than MOT16 and MOT17,
    every ground truth is filtered.

    MOTP is the mean IoU of the matches, as TrackEval has it (motmetrics itself gives
    one minus this).

    Args:
        sequences: Sequences with ground truth.
        results_dir: Folder of the result files, ``NAME.txt``.
        frames: As for ``evaluate_trackeval``.

    Returns:
        ``METRICS`` but HOTA, DetA and AssA by sequence, and for ``'COMBINED'``.

    Raises:
        FileNotFoundError: A result file or ground truth is missing.
        ValueError: A file is malformed, a range is outside its sequence, or there
            are no sequences.
    """
    cases = _load_cases(sequences, results_dir, frames)
    counts = {case.sequence.name: _motmetrics_counts(case) for case in cases}
    counts[COMBINED] = {
        key: sum(count[key] for count in counts.values()) for key in _MOTMETRICS_COUNTS
    }
    return {name: _motmetrics_figures(count) for name, count in counts.items()}


BACKENDS: dict[str, Callable[..., Figures]] = {
    "trackeval": evaluate_trackeval,
    "motmetrics": evaluate_motmetrics,
}


def format_table(figures: Figures) -> str:
    """Lay figures out for people, in plain text that is a Markdown table too.

    Fractions are in percent; the combined figures come last.
    """
    rows = sorted(figures, key=lambda name: name == COMBINED)
    present = [key for key in METRICS if any(key in figures[name] for name in rows)]
    table = Table(box=box.MARKDOWN)
    table.add_column("Sequence", no_wrap=True)
    for key in present:
        table.add_column(key, justify="right", no_wrap=True)
    for name in rows:
        cells = (_format_figure(key, figures[name].get(key)) for key in present)
        table.add_row(name, *cells)
    # Not the terminal's width: a log has none, and figures must not be cut.
    console = Console(
        file=io.StringIO(), width=1000, color_system=None, markup=False, emoji=False
    )
    console.print(table)
    lines = console.file.getvalue().splitlines()
    return "\n".join(line.rstrip() for line in lines if line.strip())


def _format_figure(key: str, value: float | None) -> str:
    if value is None:
        return "-"
    return f"{100 * value:.1f}" if key in FRACTIONS else str(value)


def _load_cases(
    sequences: Sequence[MOTSequence],
    results_dir: str | Path,
    frames: Mapping[str, tuple[int, int]] | None,
) -> list[_Case]:
    """Read everything first, so that a broken file is known before the long part."""
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
) -> _Case:
    first, last = frame_range
    if not 1 <= first <= last <= sequence.length:
        raise ValueError(
            f"{sequence.name}: frames {first} to {last} to evaluate, expected a range "
            f"within 1 to {sequence.length}"
        )
    results = read_results(result_path, sequence.length)
    annotations = read_gt(sequence)
    benchmark = _benchmark(sequence, annotations)

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
    return _Case(sequence, last - first + 1, annotations, results, benchmark)


def _benchmark(sequence: MOTSequence, annotations: MOTAnnotations) -> str:
    """TrackEval's name of the protocol for this (whole) ground truth."""
    if annotations.is_mot15:
        return "MOT15"
    return "MOT20" if sequence.name.startswith("MOT20") else "MOT17"


def _common_benchmark(cases: Sequence[_Case]) -> str:
    by_benchmark = {case.benchmark: case.sequence.name for case in cases}
    if len(by_benchmark) > 1:
        examples = ", ".join(f"{name} is {key}" for key, name in by_benchmark.items())
        raise ValueError(
            f"sequences of more than one protocol ({examples}); evaluate them "
            "separately"
        )
    return cases[0].benchmark


def _trackeval_dataset(
    folder: Path, cases: Sequence[_Case], benchmark: str
) -> trackeval.datasets.MotChallenge2DBox:
    """Lay the cases out in ``folder`` as TrackEval reads them."""
    for case in cases:
        if benchmark != "MOT15":
            _check_classes(case)
        annotations, name = case.annotations, f"{case.sequence.name}.txt"
        _write_for_trackeval(
            folder / "gt" / name,
            annotations.frames,
            annotations.ids,
            annotations.boxes,
            annotations.marks,
            annotations.classes,
            annotations.visibility,
        )
        # No class: a tracker's is not looked at, and TrackEval refuses any above 1.
        _write_for_trackeval(
            folder / "tracker" / name,
            case.results[:, 0],
            case.results[:, 1],
            case.results[:, 2:6],
            case.results[:, 6],
            np.full(len(case.results), -1),
        )
    return trackeval.datasets.MotChallenge2DBox(
        {
            "GT_FOLDER": str(folder / "gt"),
            "GT_LOC_FORMAT": "{gt_folder}/{seq}.txt",
            "TRACKERS_FOLDER": str(folder),
            "TRACKERS_TO_EVAL": ["tracker"],
            "TRACKER_SUB_FOLDER": "",
            "BENCHMARK": benchmark,
            "SEQ_INFO": {case.sequence.name: case.length for case in cases},
            "SKIP_SPLIT_FOL": True,
            "PRINT_CONFIG": False,
        }
    )


def _check_classes(case: _Case) -> None:
    """Name the line whose class TrackEval would refuse."""
    annotations = case.annotations
    unknown = np.flatnonzero(~np.isin(annotations.classes, _KNOWN_CLASSES))
    if len(unknown):
        row = unknown[np.argmin(annotations.lines[unknown])]
        raise ValueError(
            f"{case.sequence.gt_path}:{annotations.lines[row]}: class "
            f"{annotations.classes[row]}, expected 1 (pedestrian) to 13"
        )


def _write_for_trackeval(
    path: Path,
    frames: np.ndarray,
    ids: np.ndarray,
    *others: np.ndarray,
) -> None:
    """Write columns without losing a digit.

    Identities become 0, 1, 2, ...: TrackEval indexes arrays by them, which a large
    one exhausts and a negative one confuses.
    """
    labels = np.unique(ids, return_inverse=True)[1]
    table = np.column_stack((frames, labels, *others))
    path.parent.mkdir(exist_ok=True)
    np.savetxt(path, table, fmt="%.17g", delimiter=",")


def _trackeval_figures(
    hota: Mapping[str, Any], clear: Mapping[str, Any], identity: Mapping[str, Any]
) -> dict[str, float]:
    fractions = {key: np.mean(hota[key]) for key in ("HOTA", "DetA", "AssA")}
    fractions |= {key: clear[key] for key in ("MOTA", "MOTP")}
    fractions |= {key: identity[key] for key in ("IDF1", "IDP", "IDR")}
    if not clear["CLR_TP"] + clear["CLR_FN"]:
        # TrackEval says 0 of a sequence without people, but minus the false positives
        # of several.
        fractions["MOTA"] = 0.0
    counts = {"FP": clear["CLR_FP"], "FN": clear["CLR_FN"]}
    counts |= {key: clear[key] for key in ("IDSW", "MT", "ML", "Frag")}
    return {key: float(fractions[key]) for key in FRACTIONS} | {
        key: int(counts[key]) for key in COUNTS
    }


# Everything the figures follow from, in terms that add up over sequences.
_MOTMETRICS_COUNTS = {
    "IDSW": "num_switches",
    "FP": "num_false_positives",
    "FN": "num_misses",
    "MT": "mostly_tracked",
    "ML": "mostly_lost",
    "Frag": "num_fragmentations",
    "objects": "num_objects",
    "matches": "num_detections",
    "distance": "motp",
    "id_tp": "idtp",
    "id_fp": "idfp",
    "id_fn": "idfn",
}


def _motmetrics_counts(case: _Case) -> dict[str, float]:
    summary = motmetrics.metrics.create().compute(
        _accumulate(case),
        metrics=list(_MOTMETRICS_COUNTS.values()),
        return_dataframe=False,
    )
    counts = {key: summary[name] for key, name in _MOTMETRICS_COUNTS.items()}
    # motmetrics gives the mean distance, which is NaN where nothing matched.
    matches = counts["matches"]
    counts["distance"] = counts["distance"] * matches if matches else 0.0
    return counts


def _accumulate(case: _Case) -> motmetrics.MOTAccumulator:
    """Match results and ground truth frame by frame."""
    annotations = case.annotations
    people = annotations.select(evaluated_pedestrians(annotations))
    ignored = annotations.select(
        np.isin(annotations.classes, _PUBLISHED_IGNORED_CLASSES)
        | (annotations.visibility < 0)
    )
    result_frames = case.results[:, 0]
    walked = np.unique(result_frames)
    unwalked = np.setdiff1d(people.frames, walked)
    if len(unwalked):
        print_log(
            f"{case.sequence.name}: {len(unwalked)} annotated frames have no result "
            "line; their people are not counted as missed by motmetrics' figures, "
            "which follow the published code",
            logger="current",
            level=logging.WARNING,
        )
    accumulator = motmetrics.MOTAccumulator(auto_id=True)
    for frame in walked:
        rows = case.results[_rows_of(result_frames, frame)]
        ignored_boxes = ignored.boxes[_rows_of(ignored.frames, frame)]
        rows = np.delete(rows, _matched(ignored_boxes, rows[:, 2:6]), axis=0)
        here = _rows_of(people.frames, frame)
        accumulator.update(
            people.ids[here],
            rows[:, 1].astype(np.int64),
            _iou_distances(people.boxes[here], rows[:, 2:6]),
        )
    return accumulator


def _rows_of(frames: np.ndarray, frame: float) -> slice:
    """Rows of a frame in an array of sorted frames."""
    return slice(*np.searchsorted(frames, (frame, frame + 1)))


def _iou_distances(boxes: np.ndarray, others: np.ndarray) -> np.ndarray:
    """1 - IoU of (N, 4) and (M, 4) xywh boxes, NaN where they cannot match: (N, M)."""
    # Not motmetrics.distances.iou_matrix, which needs NumPy 1.
    distances = 1 - motmetrics.distances.boxiou(boxes[:, None], others[None])
    return np.where(distances > 1 - _MATCHING_IOU, np.nan, distances)


def _matched(boxes: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Indices of the ``others`` (M, 4) that match one of ``boxes`` (N, 4)."""
    distances = _iou_distances(boxes, others)
    rows, columns = motmetrics.lap.linear_sum_assignment(distances)
    return columns[~np.isnan(distances[rows, columns])]


def _motmetrics_figures(counts: Mapping[str, float]) -> dict[str, float]:
    objects, matches = counts["objects"], counts["matches"]
    errors = counts["FP"] + counts["FN"] + counts["IDSW"]
    true, false, missed = (counts[key] for key in ("id_tp", "id_fp", "id_fn"))
    fractions = {
        "MOTA": _ratio(objects - errors, objects),
        "MOTP": _ratio(matches - counts["distance"], matches),
        "IDF1": _ratio(2 * true, 2 * true + false + missed),
        "IDP": _ratio(true, true + false),
        "IDR": _ratio(true, true + missed),
    }
    return fractions | {key: int(counts[key]) for key in COUNTS}


def _ratio(part: float, whole: float) -> float:
    return float(part / whole) if whole else 0.0
