"""Figures by TrackEval under the benchmark's own protocol."""

from __future__ import annotations

import contextlib
import io
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
import trackeval

from .cases import PLAIN, Case, with_ground_truth
from .figures import (
    CLASS_AVERAGED,
    COMBINED,
    COUNTS,
    DETECTION_AVERAGED,
    FRACTIONS,
    Figures,
)

Curves = dict[str, dict[str, np.ndarray]]
Details = dict[str, dict]

_KNOWN_CLASSES = range(1, 14)
_METRICS = (
    trackeval.metrics.HOTA(),
    trackeval.metrics.CLEAR({"PRINT_CONFIG": False}),
    trackeval.metrics.Identity({"PRINT_CONFIG": False}),
)


def evaluate(cases: Sequence[Case]) -> Figures:
    """Score by TrackEval under the benchmark's own protocol.

    The raw ground truth is used: a detection that matches a distractor (static
    person, person on vehicle, reflection, ...) is neither right nor wrong. The
    protocol is that of MOT15 where the ground truth has no classes, of MOT20 for
    sequences named so, of MOT17 (and MOT16) otherwise; TrackEval combines sequences of
    several. HOTA, DetA and AssA are means over the localisation thresholds.

    Returns:
        All ``NAMES`` by sequence, and for ``'COMBINED'``.

    Raises:
        ValueError: A class is unknown.
    """
    scores = _scores(cases)
    return {name: _figures(*(score[name] for score in scores)) for name in scores[0]}


def evaluate_by_class(cases: Mapping[str, Sequence[Case]]) -> Figures:
    """Score the classes by TrackEval and combine them as it does.

    Returns:
        All ``NAMES`` by class, and for ``'class_averaged'`` (the mean of fractions over
        the classes that have ground truth; counts add up) and ``'detection_averaged'``
        (of all objects, whatever their class).

    Raises:
        ValueError: A class is unknown.
    """
    scores = {name: [s[COMBINED] for s in _scores(cases[name])] for name in cases}
    figures = {name: _figures(*scores[name]) for name in cases}
    averages: dict[str, list[Mapping]] = {CLASS_AVERAGED: [], DETECTION_AVERAGED: []}
    present = with_ground_truth(cases)
    if not present:
        return figures
    for i, metric in enumerate(_METRICS):
        by_name = {name: score[i] for name, score in scores.items()}
        averages[DETECTION_AVERAGED].append(
            metric.combine_classes_det_averaged(by_name)
        )
        averages[CLASS_AVERAGED].append(
            metric.combine_classes_class_averaged({k: by_name[k] for k in present})
        )
    return figures | {name: _figures(*found) for name, found in averages.items()}


def evaluate_in_detail(cases: Sequence[Case]) -> tuple[Figures, Curves, Details]:
    """Score as :func:`evaluate`, and keep what the figures were computed from.

    Returns:
        The figures; by sequence and for ``'COMBINED'``, ``HOTA``, ``DetA`` and ``AssA``
        (19,) over the localisation thresholds 0.05, 0.1, ..., 0.95; and by sequence,
        what TrackEval's metrics were given.

    Raises:
        ValueError: A class is unknown.
    """
    details = {case.name: _preprocessed(case) for case in cases}
    scores = _scores_of(details.items())
    curves = {
        name: {key: hota[key] for key in ("HOTA", "DetA", "AssA")}
        for name, hota in scores[0].items()
    }
    figures = {name: _figures(*(score[name] for score in scores)) for name in curves}
    return figures, curves, details


def score_sequence(case: Case) -> list[dict]:
    """What each metric finds in one sequence, for :func:`combine`.

    Raises:
        ValueError: A class is unknown.
    """
    return [score[case.name] for score in _scores([case])]


def combine(scores: Mapping[str, list[dict]]) -> Figures:
    """Figures of sequences that :func:`score_sequence` scored, as of :func:`evaluate`.

    Args:
        scores: By sequence.
    """
    found = dict(scores)
    found[COMBINED] = [
        metric.combine_sequences({name: score[i] for name, score in scores.items()})
        for i, metric in enumerate(_METRICS)
    ]
    return {name: _figures(*score) for name, score in found.items()}


def _scores(cases: Sequence[Case]) -> list[dict[str, dict]]:
    """What each metric finds, by sequence and for ``'COMBINED'``."""
    return _scores_of((case.name, _preprocessed(case)) for case in cases)


def _scores_of(details: Iterable[tuple[str, dict]]) -> list[dict[str, dict]]:
    scores: list[dict[str, dict]] = [{} for _ in _METRICS]
    # TrackEval prints as it goes.
    with contextlib.redirect_stdout(io.StringIO()):
        for name, data in details:
            for metric, score in zip(_METRICS, scores, strict=True):
                score[name] = metric.eval_sequence(data)
        for metric, score in zip(_METRICS, scores, strict=True):
            score[COMBINED] = metric.combine_sequences(score)
    return scores


def _preprocessed(case: Case) -> dict:
    """What TrackEval's metrics read: it reads files and prints as it goes."""
    with (
        contextlib.redirect_stdout(io.StringIO()),
        tempfile.TemporaryDirectory() as folder,
    ):
        dataset = _write_dataset(Path(folder), case)
        raw = dataset.get_raw_seq_data("tracker", case.name)
        return dataset.get_preprocessed_seq_data(raw, "pedestrian")


def _write_dataset(folder: Path, case: Case) -> trackeval.datasets.MotChallenge2DBox:
    """Write the case to ``folder`` as TrackEval reads it."""
    if case.protocol != PLAIN:
        _check_classes(case)
    annotations, name = case.annotations, f"{case.name}.txt"
    _write_columns(
        folder / "gt" / name,
        annotations.frames,
        annotations.ids,
        annotations.boxes,
        annotations.marks,
        annotations.classes,
        annotations.visibility,
    )
    # No class: TrackEval ignores a tracker's, but refuses any above 1.
    _write_columns(
        folder / "tracker" / name,
        *(case.results[:, 0], case.results[:, 1], case.results[:, 2:7]),
        np.full(len(case.results), -1),
    )
    return trackeval.datasets.MotChallenge2DBox(
        {
            "GT_FOLDER": str(folder / "gt"),
            "GT_LOC_FORMAT": "{gt_folder}/{seq}.txt",
            "TRACKERS_FOLDER": str(folder),
            "TRACKERS_TO_EVAL": ["tracker"],
            "TRACKER_SUB_FOLDER": "",
            "BENCHMARK": case.protocol,
            "SEQ_INFO": {case.name: case.length},
            "SKIP_SPLIT_FOL": True,
            "PRINT_CONFIG": False,
        }
    )


def _check_classes(case: Case) -> None:
    """Name the line whose class TrackEval would refuse."""
    annotations = case.annotations
    unknown = np.flatnonzero(~np.isin(annotations.classes, _KNOWN_CLASSES))
    if len(unknown):
        row = unknown[np.argmin(annotations.lines[unknown])]
        raise ValueError(
            f"{case.source}:{annotations.lines[row]}: class "
            f"{annotations.classes[row]}, expected 1 (pedestrian) to 13"
        )


def _write_columns(
    path: Path, frames: np.ndarray, ids: np.ndarray, *others: np.ndarray
) -> None:
    """Write columns without losing a digit.

    Identities are renumbered from 0: TrackEval indexes arrays by them, so large ones
    exhaust the memory and negative ones are confused with others.
    """
    labels = np.unique(ids, return_inverse=True)[1]
    table = np.column_stack((frames, labels, *others))
    path.parent.mkdir(exist_ok=True)
    np.savetxt(path, table, fmt="%.17g", delimiter=",")


def _figures(hota: Mapping, clear: Mapping, identity: Mapping) -> dict[str, float]:
    fractions = {key: np.mean(hota[key]) for key in ("HOTA", "DetA", "AssA")}
    fractions |= {key: clear[key] for key in ("MOTA", "MOTP")}
    fractions |= {key: identity[key] for key in ("IDF1", "IDP", "IDR")}
    if not clear["CLR_TP"] + clear["CLR_FN"]:
        # Without people, TrackEval gives 0 for one sequence, but minus the number of
        # false positives for several.
        fractions["MOTA"] = 0.0
    counts = {"FP": clear["CLR_FP"], "FN": clear["CLR_FN"]}
    counts |= {key: clear[key] for key in ("IDSW", "MT", "ML", "Frag")}
    return {key: float(fractions[key]) for key in FRACTIONS} | {
        key: int(counts[key]) for key in COUNTS
    }
