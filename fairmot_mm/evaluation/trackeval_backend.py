"""Figures by TrackEval under the benchmark's own protocol."""

import contextlib
import io
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import astuple
from pathlib import Path

import numpy as np
import trackeval

from fairmot_mm.formats.mot import NO_CLASS

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
    """Score sequences.

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
    return {name: _figures(*found) for name, found in _scores(cases).items()}


def evaluate_by_class(cases: Mapping[str, Sequence[Case]]) -> Figures:
    """Score classes, as :func:`evaluate`, and combine them as TrackEval does.

    Returns:
        All ``NAMES`` by class, and for ``'class_averaged'`` (the mean of fractions over
        the classes that have ground truth; counts add up) and ``'detection_averaged'``
        (of all objects, whatever their class).
    """
    scores = {name: _scores(of_class)[COMBINED] for name, of_class in cases.items()}
    present = {name: scores[name] for name in with_ground_truth(cases)}
    if present:
        scores |= {
            CLASS_AVERAGED: _combine(present, "combine_classes_class_averaged"),
            DETECTION_AVERAGED: _combine(scores, "combine_classes_det_averaged"),
        }
    return {name: _figures(*found) for name, found in scores.items()}


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
    scores = {name: _score(data) for name, data in details.items()}
    scores[COMBINED] = _combine(scores, "combine_sequences")
    curves = {
        name: {key: found[0][key] for key in ("HOTA", "DetA", "AssA")}
        for name, found in scores.items()
    }
    figures = {name: _figures(*found) for name, found in scores.items()}
    return figures, curves, details


def score_sequence(case: Case) -> list[dict]:
    """What each metric finds in one sequence, for :func:`combine`.

    Raises:
        ValueError: A class is unknown.
    """
    return _score(_preprocessed(case))


def combine(scores: Mapping[str, list[dict]]) -> Figures:
    """Figures of sequences that :func:`score_sequence` scored, as of :func:`evaluate`.

    Args:
        scores: By sequence.
    """
    found = {**scores, COMBINED: _combine(scores, "combine_sequences")}
    return {name: _figures(*score) for name, score in found.items()}


def _scores(cases: Sequence[Case]) -> dict[str, list[dict]]:
    """What each metric finds, by sequence and for ``'COMBINED'``."""
    scores = {case.name: score_sequence(case) for case in cases}
    return scores | {COMBINED: _combine(scores, "combine_sequences")}


def _preprocessed(case: Case) -> dict:
    """What TrackEval's metrics read: it reads files and prints as it goes."""
    with (
        contextlib.redirect_stdout(io.StringIO()),
        tempfile.TemporaryDirectory() as folder,
    ):
        dataset = _write_dataset(Path(folder), case)
        raw = dataset.get_raw_seq_data("tracker", case.name)
        return dataset.get_preprocessed_seq_data(raw, "pedestrian")


def _score(data: dict) -> list[dict]:
    """What each metric finds in a preprocessed sequence."""
    with contextlib.redirect_stdout(io.StringIO()):
        return [metric.eval_sequence(data) for metric in _METRICS]


def _combine(scores: Mapping[str, Sequence[dict]], method: str) -> list[dict]:
    """What each metric makes of several sequences or classes by a method of its own."""
    columns = zip(*scores.values(), strict=True)
    return [
        getattr(metric, method)(dict(zip(scores, column, strict=True)))
        for metric, column in zip(_METRICS, columns, strict=True)
    ]


def _write_dataset(folder: Path, case: Case) -> trackeval.datasets.MotChallenge2DBox:
    """Write the case to ``folder`` as TrackEval reads it."""
    if case.protocol != PLAIN:
        _check_classes(case)
    columns = astuple(case.annotations)[:-1]  # as in gt.txt, but for the line numbers
    _write_columns(folder / case.name / "gt" / "gt.txt", *columns)
    # No class: TrackEval ignores a tracker's, but refuses any above 1.
    columns = case.results[:, :7], np.full(len(case.results), NO_CLASS)
    _write_columns(folder / "tracker" / "data" / f"{case.name}.txt", *columns)
    return trackeval.datasets.MotChallenge2DBox(
        {
            "GT_FOLDER": str(folder),
            "TRACKERS_FOLDER": str(folder),
            "TRACKERS_TO_EVAL": ["tracker"],
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


def _write_columns(path: Path, *columns: np.ndarray) -> None:
    """Write frames, identities and others without losing a digit."""
    table = np.column_stack(columns)
    # TrackEval indexes arrays by identities, so large ones exhaust the memory and
    # negative ones are confused with others.
    table[:, 1] = np.unique(table[:, 1], return_inverse=True)[1]
    path.parent.mkdir(parents=True)
    np.savetxt(path, table, fmt="%.17g", delimiter=",")


def _figures(hota: Mapping, clear: Mapping, identity: Mapping) -> dict[str, float]:
    counts = {"FP": clear["CLR_FP"], "FN": clear["CLR_FN"]}
    found = {**hota, **clear, **identity, **counts}
    if not clear["CLR_TP"] + clear["CLR_FN"]:
        # Without people, TrackEval gives 0 for one sequence, but minus the number of
        # false positives for several.
        found["MOTA"] = 0.0
    # HOTA, DetA and AssA are arrays.
    fractions = {key: float(np.mean(found[key])) for key in FRACTIONS}
    return fractions | {key: int(found[key]) for key in COUNTS}
