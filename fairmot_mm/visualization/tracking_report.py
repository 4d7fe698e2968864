"""A page about the tracks of one or two runs: figures, and every single error."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from mmengine.logging import print_log

from fairmot_mm.evaluation.cases import Case, load_cases
from fairmot_mm.evaluation.figures import COMBINED, FRACTIONS, NAMES, Figures
from fairmot_mm.evaluation.remedies import describe, remedy
from fairmot_mm.evaluation.trackeval_backend import Curves, evaluate_in_detail
from fairmot_mm.evaluation.tracking_errors import (
    BROKEN,
    FALSE_ALARM,
    KINDS,
    SWITCH,
    Sighting,
    TrackingError,
    follow,
    list_errors,
)
from fairmot_mm.formats.detection_dumps import DetectionDump
from fairmot_mm.formats.images import report_missing_images
from fairmot_mm.formats.mot import MOTSequence

from .error_pictures import Cutout, cut_out
from .pages import write_page

_LETTERS = "AB"
_LOWER_IS_BETTER = ("IDSW", "FP", "FN", "ML", "Frag")
_THRESHOLDS = np.round(np.arange(0.05, 1, 0.05), 2)  # TrackEval's
# Base64, so that a page with Plotly and data (6 MB) stays below 20 MB.
_MOST_PICTURES = 14_000_000


@dataclass(frozen=True)
class Run:
    """What is known about the results of a run.

    Attributes:
        name: Folder of the results.
        figures: By sequence and combined.
        curves: HOTA, DetA and AssA over the thresholds.
        cases: What was scored, by sequence.
        sightings: True and false boxes, by sequence.
        errors: By sequence, the most expensive first.
    """

    name: str
    figures: Figures
    curves: Curves
    cases: dict[str, Case]
    sightings: dict[str, list[Sighting]]
    errors: dict[str, list[TrackingError]]


def analyse(sequences: Sequence[MOTSequence], results: Path) -> Run:
    """Score a run and list its errors.

    Raises:
        FileNotFoundError: A result file or ground truth is missing.
        ValueError: A file is malformed.
    """
    cases = {case.name: case for case in load_cases(sequences, results)}
    figures, curves, details = evaluate_in_detail([*cases.values()])
    sightings = {name: follow(case, details[name]) for name, case in cases.items()}
    errors = {name: list_errors(found) for name, found in sightings.items()}
    return Run(str(results), figures, curves, cases, sightings, errors)


def write_tracking_report(
    path: Path,
    sequences: Sequence[MOTSequence],
    runs: Sequence[Run],
    dumps: Mapping[str, DetectionDump] | None = None,
    pictures: bool = True,
) -> None:
    """Write the page.

    Args:
        path: The page.
        sequences: The sequences of the runs.
        runs: One run, or two to be compared.
        dumps: What was detected, by sequence: tells misses of the network from those
            of the tracker.
        pictures: Cut pictures out of the frames.

    Raises:
        FileNotFoundError: A frame is missing.
        OSError: A frame cannot be read, or the page cannot be written.
    """
    errors = []
    for sequence in sequences:
        paths = _frame_paths(sequence)
        if pictures:
            report_missing_images(map(str, paths.values()), sequence.root)
        links = {
            frame: os.path.relpath(image, path.parent) for frame, image in paths.items()
        }
        dump = (dumps or {}).get(sequence.name)
        for number, run in enumerate(runs):
            found = [
                _entry(error, number, run.cases[sequence.name], links, dump)
                for error in run.errors[sequence.name]
            ]
            others = [_Moments(r.errors[sequence.name]) for r in runs if r is not run]
            for item, error in zip(found, run.errors[sequence.name], strict=True):
                item["single"] = not any(other.have_like(error) for other in others)
            if pictures:
                _add_pictures(found, run, sequence, paths)
            errors += found
    errors.sort(key=lambda error: -error["cost"])
    dropped = _limit_pictures(errors) if pictures else 0
    for entry in errors:
        entry["pictures"] = [shown[:3] for shown in entry["pictures"]]
    write_page(
        path,
        "tracking_report.html",
        dict(
            runs=[
                dict(
                    letter=letter,
                    curves=run.curves,
                    timelines={
                        s.name: _timeline(run.sightings[s.name]) for s in sequences
                    },
                )
                for letter, run in zip(_LETTERS, runs, strict=False)
            ],
            sequences=[sequence.name for sequence in sequences],
            kinds=KINDS,
            thresholds=_THRESHOLDS,
            errors=errors,
        ),
        title="Tracking report",
        runs=[
            dict(letter=letter, name=run.name)
            for letter, run in zip(_LETTERS, runs, strict=False)
        ],
        names=NAMES,
        table=_table([run.figures for run in runs]),
        dropped=dropped,
    )
    print_log(
        f"{path}: {len(errors)} errors"
        + (f", the {dropped} cheapest without pictures" if dropped else ""),
        logger="current",
    )


def _frame_paths(sequence: MOTSequence) -> dict[int, Path]:
    frames = range(1, sequence.length + 1)
    return {frame: sequence.image_path(frame) for frame in frames}


def _entry(
    error: TrackingError,
    run: int,
    case: Case,
    links: Mapping[int, str],
    dump: DetectionDump | None,
) -> dict:
    """An error as the page's script reads it; pictures lack their content."""
    seen = [*error.sightings] or [s for s in (error.before, error.after) if s]
    one = seen[-1]
    visibility = None
    if error.kind != FALSE_ALARM:
        values = [_visibility(case, sighting) for sighting in seen]
        visibility = float(np.mean(values))
    return dict(
        run=run,
        sequence=case.name,
        kind=error.kind,
        cost=error.cost,
        first=seen[0].frame,
        last=one.frame,
        person=None if error.kind == FALSE_ALARM else one.person,
        height=float(np.median([sighting.box[3] for sighting in seen])),
        visibility=visibility,
        text=describe(error),
        remedy=remedy(error, case, dump),
        pictures=[
            [
                caption,
                links[s.frame],
                "",
                Cutout(s.frame, s.box, s.person >= 0, s.track),
            ]
            for caption, s in _shown(error)
        ],
    )


def _shown(error: TrackingError) -> list[tuple[str, Sighting]]:
    """What the pictures show, in order."""
    moments = [("before", error.before)]
    if error.kind != SWITCH and error.sightings:
        run = error.sightings
        if error.kind == BROKEN or error.before or error.after:
            moments.append(("missed", run[len(run) // 2]))
        else:
            moments += [("first", run[0]), ("last", run[-1])]
    moments.append(("after", error.after))
    shown, frames = [], set()
    for name, sighting in moments:
        if sighting is not None and sighting.frame not in frames:
            frames.add(sighting.frame)
            shown.append((f"{name}: frame {sighting.frame}", sighting))
    return shown


def _visibility(case: Case, sighting: Sighting) -> float:
    annotations = case.annotations
    rows = slice(
        *np.searchsorted(annotations.frames, (sighting.frame, sighting.frame + 1))
    )
    (found,) = np.nonzero(annotations.ids[rows] == sighting.person)
    return float(annotations.visibility[rows][found[0]])


def _add_pictures(
    errors: Sequence[dict],
    run: Run,
    sequence: MOTSequence,
    paths: dict[int, Path],
) -> None:
    shown = [picture for error in errors for picture in error["pictures"]]
    results = run.cases[sequence.name].results
    contents = cut_out([picture[3] for picture in shown], paths, results)
    for picture, content in zip(shown, contents, strict=True):
        picture[2] = content


def _limit_pictures(errors: Sequence[dict]) -> int:
    """Take the pictures of the cheapest errors away where there are too many."""
    size = dropped = 0
    for error in errors:
        size += sum(len(picture[2]) for picture in error["pictures"])
        if size > _MOST_PICTURES:
            dropped += 1
            for picture in error["pictures"]:
                picture[2] = ""
    return dropped


class _Moments:
    """Where a run has errors, to tell whether it has one like another run's.

    Of the same kind, and of the same person on a common frame; false alarms are alike
    if they overlap, as identities are a run's own.
    """

    def __init__(self, errors: Sequence[TrackingError]) -> None:
        self._people = {
            (error.kind, s.frame, s.person) for error in errors for s in error.sightings
        }
        self._boxes: dict[int, list[np.ndarray]] = {}
        for error in errors:
            for sighting in error.sightings if error.kind == FALSE_ALARM else ():
                self._boxes.setdefault(sighting.frame, []).append(sighting.box)

    def have_like(self, error: TrackingError) -> bool:
        if error.kind == FALSE_ALARM:
            return any(
                _overlap(sighting.box, box)
                for sighting in error.sightings
                for box in self._boxes.get(sighting.frame, ())
            )
        keys = ((error.kind, s.frame, s.person) for s in error.sightings)
        return any(key in self._people for key in keys)


def _overlap(box: np.ndarray, other: np.ndarray) -> bool:
    """Whether the middle of one is in the other."""
    middle = box[:2] + box[2:] / 2
    return bool((middle >= other[:2]).all() and (middle <= other[:2] + other[2:]).all())


def _timeline(sightings: Sequence[Sighting]) -> dict:
    """People, by their first frame, and the stretches of each: row, track, frames."""
    rows: dict[int, int] = {}
    stretches: list[list[int]] = []
    latest: dict[int, list[int]] = {}
    for sighting in sightings:
        if sighting.person < 0:
            continue
        row = rows.setdefault(sighting.person, len(rows))
        stretch = latest.get(row)
        if (
            stretch
            and stretch[1] == sighting.track
            and stretch[3] == sighting.frame - 1
        ):
            stretch[3] = sighting.frame
        else:
            latest[row] = [row, sighting.track, sighting.frame, sighting.frame]
            stretches.append(latest[row])
    return dict(people=[*rows], stretches=stretches)


def _table(runs: Sequence[Figures]) -> list[dict]:
    """Rows of the table: each run's, and the difference of two."""
    names = sorted(runs[0], key=lambda name: name == COMBINED)
    groups = []
    for name in names:
        rows = [
            dict(
                run=letter,
                kind="figures",
                cells=[
                    dict(name=key, text=_format(key, figures[name][key]), judgement="")
                    for key in NAMES
                ],
            )
            for letter, figures in zip(_LETTERS, runs, strict=False)
        ]
        if len(runs) == 2:
            cells = [
                _difference(key, *(run[name][key] for run in runs)) for key in NAMES
            ]
            rows.append(dict(run="B - A", kind="difference", cells=cells))
        groups.append(dict(sequence=name, combined=name == COMBINED, rows=rows))
    return groups


def _difference(key: str, first: float, second: float) -> dict:
    change = second - first
    better = change < 0 if key in _LOWER_IS_BETTER else change > 0
    judgement = ("better" if better else "worse") if change else ""
    text = f"{100 * change:+.1f}" if key in FRACTIONS else f"{change:+d}"
    return dict(name=key, text=text, judgement=judgement)


def _format(key: str, value: float) -> str:
    return f"{100 * value:.1f}" if key in FRACTIONS else str(value)
