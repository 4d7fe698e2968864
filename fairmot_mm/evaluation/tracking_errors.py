"""The single errors behind the counts IDSW, FN, FP and Frag."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise
from typing import NamedTuple

import numpy as np
from scipy.optimize import linear_sum_assignment

from .cases import Case

SWITCH, BROKEN, MISSED, FALSE_ALARM = "switch", "broken", "missed", "false alarm"
KINDS = (SWITCH, BROKEN, MISSED, FALSE_ALARM)

_MATCHING_IOU = 0.5
_NOBODY = -1


class Sighting(NamedTuple):
    """A true box, or a box of the results that is none.

    Attributes:
        frame: From 1.
        step: Number of the frame among those that have true boxes and results; of
            others that of the frame before.
        person: Identity in the ground truth; -1 for a false alarm.
        track: Identity in the results; -1 for a missed person.
        box: (4,) x, y, w, h, the true box if there is one.
        overlap: IoU with the box it is matched with, or the greatest with any.
    """

    frame: int
    step: int
    person: int
    track: int
    box: np.ndarray
    overlap: float


@dataclass(frozen=True)
class TrackingError:
    """An error, over one or several frames.

    The costs of all that are ``missed`` or ``broken`` sum up to FN, those of false
    alarms to FP; there are as many switches as IDSW, as many broken ones as Frag.

    Attributes:
        kind: One of ``KINDS``: the person is followed by another track than before;
            lost, and followed again later; not followed, at the beginning, at the end
            or at all; a track that follows nobody.
        cost: Boxes: missed ones, false ones; of a switch those with the rarer of the
            identities before and after, as only one of them can be right.
        sightings: The boxes: of a switch the last one before and the first one after
            it; otherwise the missed or false ones, none where somebody was broken off
            only by leaving the ground truth.
        before: The last sighting as part of a track before; None if there is none.
        after: The first one after.
    """

    kind: str
    cost: int
    sightings: Sequence[Sighting]
    before: Sighting | None = None
    after: Sighting | None = None


def follow(case: Case, data: dict) -> list[Sighting]:
    """Match results and ground truth frame by frame, as TrackEval's CLEAR does.

    A pair is kept for as long as it overlaps enough (IoU of 0.5); beyond that, the
    overlaps are maximised.

    Args:
        case: The ground truth and the results.
        data: What the metrics are given, of :func:`.evaluate_in_detail`.

    Returns:
        All true boxes, and the boxes of the results that match none, by frame.
    """
    people = _original_ids(
        (case.annotations.frames, case.annotations.ids, case.annotations.boxes),
        data["gt_ids"],
        data["gt_dets"],
    )
    tracks = _original_ids(
        (case.results[:, 0], case.results[:, 1], case.results[:, 2:6]),
        data["tracker_ids"],
        data["tracker_dets"],
    )
    found: list[Sighting] = []
    last: dict[int, int] = {}  # track by person on the last step
    step = 0
    for index, similarity in enumerate(data["similarity_scores"]):
        truth, results = data["gt_ids"][index], data["tracker_ids"][index]
        pairs: dict[int, int] = {}  # row of the results by row of the truth
        # CLEAR passes over frames without either, and so continues pairs beyond them.
        if len(truth) and len(results):
            step += 1
            pairs = _match(similarity, truth, results, last)
            last = {int(truth[i]): int(results[j]) for i, j in pairs.items()}
        for i, person in enumerate(truth):
            j = pairs.get(i)
            track = _NOBODY if j is None else tracks[results[j]]
            overlap = similarity[i].max(initial=0) if j is None else similarity[i, j]
            box = data["gt_dets"][index][i]
            found.append(
                Sighting(index + 1, step, people[person], track, box, float(overlap))
            )
        for j in set(range(len(results))) - set(pairs.values()):
            overlap = float(similarity[:, j].max(initial=0))
            box = data["tracker_dets"][index][j]
            track = tracks[results[j]]
            found.append(Sighting(index + 1, step, _NOBODY, track, box, overlap))
    return found


def list_errors(sightings: Iterable[Sighting]) -> list[TrackingError]:
    """Errors of a sequence, the most expensive first."""
    by_person: dict[int, list[Sighting]] = {}
    by_track: dict[int, list[Sighting]] = {}
    for sighting in sightings:
        if sighting.person == _NOBODY:
            by_track.setdefault(sighting.track, []).append(sighting)
        else:
            by_person.setdefault(sighting.person, []).append(sighting)
    errors = [
        error
        for of_person in by_person.values()
        for error in (*_gaps(of_person), *_switches(of_person))
    ]
    errors += [
        TrackingError(FALSE_ALARM, len(run), run)
        for of_track in by_track.values()
        for run in _runs(of_track)
    ]
    return sorted(errors, key=lambda error: -error.cost)


def _gaps(of_person: Sequence[Sighting]) -> Iterator[TrackingError]:
    before: Sighting | None = None
    gap: list[Sighting] = []
    for sighting in of_person:
        if sighting.track == _NOBODY:
            gap.append(sighting)
            continue
        broken = before is not None and sighting.step > before.step + 1
        if broken or gap:
            kind = BROKEN if broken else MISSED
            yield TrackingError(kind, len(gap), gap, before, sighting)
        before, gap = sighting, []
    if gap:
        yield TrackingError(MISSED, len(gap), gap, before)


def _switches(of_person: Sequence[Sighting]) -> Iterator[TrackingError]:
    followed = (sighting for sighting in of_person if sighting.track != _NOBODY)
    stretches = [list(run) for _, run in groupby(followed, lambda s: s.track)]
    for old, new in pairwise(stretches):
        pair = (old[-1], new[0])
        yield TrackingError(SWITCH, min(len(old), len(new)), pair, *pair)


def _runs(of_track: Sequence[Sighting]) -> Iterator[list[Sighting]]:
    """Runs of consecutive frames."""
    counted = enumerate(of_track)
    for _, run in groupby(counted, lambda item: item[1].frame - item[0]):
        yield [sighting for _, sighting in run]


def _match(
    similarity: np.ndarray, truth: np.ndarray, results: np.ndarray, last: dict[int, int]
) -> dict[int, int]:
    """Rows of the results by rows of the truth."""
    kept = np.array([last.get(int(person), _NOBODY) for person in truth])
    scores = 1000 * (results == kept[:, None]) + similarity
    tiny = np.finfo(float).eps
    scores[similarity < _MATCHING_IOU - tiny] = 0
    pairs = zip(*linear_sum_assignment(-scores), strict=True)
    return {int(i): int(j) for i, j in pairs if scores[i, j] > tiny}


def _original_ids(
    columns: tuple[np.ndarray, np.ndarray, np.ndarray],
    renumbered: Sequence[np.ndarray],
    boxes: Sequence[np.ndarray],
) -> dict[int, int]:
    """Identities by TrackEval's, which numbers those that are left anew.

    Boxes lead back: TrackEval does not change them. Of two equal boxes in a frame
    either may be meant, so that the frames vote.
    """
    known: dict[tuple, list[int]] = {}
    for frame, identity, box in zip(*columns, strict=True):
        known.setdefault((int(frame), *box.tolist()), []).append(int(identity))
    votes: dict[int, Counter] = {}
    for index, numbers in enumerate(renumbered):
        for number, box in zip(numbers, boxes[index], strict=True):
            key = (index + 1, *box.tolist())
            candidates = known[key]
            votes.setdefault(int(number), Counter()).update(candidates)
    return {number: vote.most_common(1)[0][0] for number, vote in votes.items()}
