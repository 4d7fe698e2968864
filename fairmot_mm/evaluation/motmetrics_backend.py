"""Figures by motmetrics, as in FairMOT's reference implementation."""

import logging
from collections.abc import Iterable, Mapping, Sequence

import motmetrics
import numpy as np
from mmengine.logging import print_log

from fairmot_mm.formats.mot import DISTRACTORS, evaluated_pedestrians

from .cases import MATCHING_IOU, Case, with_ground_truth
from .figures import CLASS_AVERAGED, COMBINED, COUNTS, DETECTION_AVERAGED, Figures

# The counts that all figures follow from; they add up over sequences.
_MOTMETRICS_NAMES = {
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


def evaluate(cases: Sequence[Case]) -> Figures:
    """Score by motmetrics, as the reference implementation does.

    Results that match (IoU of 0.5 or more, one to one) an ignored box are removed: a
    person on a vehicle, a static person, a distractor, a reflection, or a box of
    negative visibility. The rest is matched with the considered pedestrians. As in the
    reference implementation, only frames that occur in the result file are scored:
    people on a frame without any result are not counted as missed. A warning says how
    many such frames there are. The reference implementation filters MOT16 and MOT17
    only, by their path; here every ground truth is filtered.

    MOTP is the mean IoU of the matches, as in TrackEval (motmetrics' own is one minus
    this).

    Returns:
        All ``NAMES`` except HOTA, DetA and AssA, by sequence and for ``'COMBINED'``.
    """
    counts = {case.name: _counts(case) for case in cases}
    counts[COMBINED] = _sum(counts.values())
    return {name: _figures(count) for name, count in counts.items()}


def evaluate_by_class(cases: Mapping[str, Sequence[Case]]) -> Figures:
    """Score the classes by motmetrics, averaged as TrackEval averages them.

    Returns:
        All ``NAMES`` except HOTA, DetA and AssA, by class, for ``'class_averaged'`` and
        ``'detection_averaged'``, see :func:`.trackeval_backend.evaluate_by_class`.
    """
    counts = {name: _sum(map(_counts, cases[name])) for name in cases}
    figures = {name: _figures(count) for name, count in counts.items()}
    present = [figures[name] for name in with_ground_truth(cases)]
    if present:
        totals = {key: sum(found[key] for found in present) for key in present[0]}
        figures[CLASS_AVERAGED] = {
            key: total if key in COUNTS else total / len(present)
            for key, total in totals.items()
        }
        figures[DETECTION_AVERAGED] = _figures(_sum(counts.values()))
    return figures


def _sum(counts: Iterable[Mapping[str, float]]) -> dict[str, float]:
    found = list(counts)
    return {key: sum(count[key] for count in found) for key in _MOTMETRICS_NAMES}


def _counts(case: Case) -> dict[str, float]:
    summary = motmetrics.metrics.create().compute(
        _accumulate(case),
        metrics=list(_MOTMETRICS_NAMES.values()),
        return_dataframe=False,
    )
    counts = {key: summary[name] for key, name in _MOTMETRICS_NAMES.items()}
    # motmetrics gives the mean distance, which is NaN where nothing matched.
    counts["distance"] = float(np.nan_to_num(counts["distance"] * counts["matches"]))
    return counts


def _accumulate(case: Case) -> motmetrics.MOTAccumulator:
    """Match results and ground truth frame by frame."""
    annotations = case.annotations
    people = annotations.select(evaluated_pedestrians(annotations))
    ignored = annotations.select(
        np.isin(annotations.classes, DISTRACTORS) | (annotations.visibility < 0)
    )
    result_frames = case.results[:, 0]
    scored = np.unique(result_frames)
    if case.every_frame:
        scored = np.union1d(scored, people.frames)
    if unscored := len(np.setdiff1d(people.frames, scored)):
        print_log(
            f"{case.name}: {unscored} annotated frames have no result line; as in "
            "the reference implementation, motmetrics' figures do not count their "
            "people as missed",
            logger="current",
            level=logging.WARNING,
        )
    accumulator = motmetrics.MOTAccumulator(auto_id=True)
    for frame in scored:
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
    return np.where(distances > 1 - MATCHING_IOU, np.nan, distances)


def _matched(boxes: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Indices of the ``others`` (M, 4) that match one of ``boxes`` (N, 4)."""
    distances = _iou_distances(boxes, others)
    rows, columns = motmetrics.lap.linear_sum_assignment(distances)
    return columns[~np.isnan(distances[rows, columns])]


def _figures(counts: Mapping[str, float]) -> dict[str, float]:
    objects, matches = counts["objects"], counts["matches"]
    errors = counts["FP"] + counts["FN"] + counts["IDSW"]
    true, false, missed = (counts[key] for key in ("id_tp", "id_fp", "id_fn"))
    ratios = {
        "MOTA": (objects - errors, objects),
        "MOTP": (matches - counts["distance"], matches),
        "IDF1": (2 * true, 2 * true + false + missed),
        "IDP": (true, true + false),
        "IDR": (true, true + missed),
    }
    fractions = {
        x: float(part / whole) if whole else 0.0 for x, (part, whole) in ratios.items()
    }
    return fractions | {key: int(counts[key]) for key in COUNTS}
