"""What an error is, in words, and which option may mend it."""

from collections.abc import Sequence

import numpy as np

from fairmot_mm.formats.boxes import xyxy_to_xywh
from fairmot_mm.formats.detection_dumps import DetectionDump

from .cases import Case, overlaps
from .tracking_errors import (
    BROKEN,
    FALSE_ALARM,
    SWITCH,
    Sighting,
    TrackingError,
)

_SAME_OBJECT = 0.5  # IoU
_NEAR = 0.25  # a box that overlaps less has nothing to do with the person
_OFTEN = 0.3  # share of the frames


def describe(error: TrackingError) -> str:
    """The error as a sentence."""
    before, after = error.before, error.after
    if error.kind == FALSE_ALARM:
        overlap = np.mean([sighting.overlap for sighting in error.sightings])
        where = "where nobody is"
        if overlap >= _NEAR:
            where = f"beside people or twice on one (mean IoU {overlap:.2f})"
        return f"track {error.sightings[0].track} follows nobody, {where}"
    if before is None and after is None:
        person = error.sightings[0].person
        return f"person {person} is never followed"
    person = (before or after).person  # type: ignore[union-attr]
    if error.kind == SWITCH and before and after:
        wait = after.frame - before.frame - 1
        pause = f" after {wait} frames" if wait else " at once"
        change = f"from track {before.track} to {after.track}{pause}"
        return f"person {person} passes {change}"
    if error.kind == BROKEN and before and after:
        again = "by the same" if before.track == after.track else f"by {after.track}"
        pause = f"for {after.frame - before.frame - 1} frames"
        return f"person {person} is lost by track {before.track} {pause}, then {again}"
    if after is None:
        return f"person {person} is not followed any more"
    return f"person {person} is not followed until track {after.track}"


def remedy(error: TrackingError, case: Case, dump: DetectionDump | None = None) -> str:
    """Options that may mend an error, by what is known about it.

    Args:
        error: The error.
        case: Its sequence: the scores of the results.
        dump: What the network detected; without it, misses of the network and of the
            tracker cannot be told apart.
    """
    if error.kind == FALSE_ALARM:
        return _of_false_alarm(error.sightings, case)
    if error.kind == SWITCH and error.before and error.after:
        wait = error.after.frame - error.before.frame - 1
        if wait:
            return (
                f"The old track was lost for {wait} frames: num_frames_retain keeps it "
                "longer, a greater embedding_cost_limit takes it up again more easily, "
                "tools/link_tracks.py joins the two afterwards."
            )
        return (
            "The tracks change within a frame: camera_motion where the camera moves, "
            "noise_by_score, a smaller iou_cost_limit or embedding_weight."
        )
    options = [_of_missed(error.sightings, dump)] if error.sightings else []
    if error.kind == BROKEN and error.before and error.after:
        gap = error.after.frame - error.before.frame - 1
        if error.before.track == error.after.track:
            options.append(f"test_evaluator.max_gap={gap} fills the gap afterwards.")
        else:
            options.append(
                f"num_frames_retain of more than {gap} frames, or tools/link_tracks.py "
                f"--max-gap {gap} joins the two."
            )
    return " ".join(options)


def _of_false_alarm(sightings: Sequence[Sighting], case: Case) -> str:
    frames, track = case.results[:, 0], sightings[0].track
    chosen = np.isin(frames, [sighting.frame for sighting in sightings])
    scores = case.results[chosen & (case.results[:, 1] == track), 6]
    score = float(np.median(scores))
    text = (
        f"Scores around {score:.2f}: a higher obj_score_thr, or low_score_thr if that "
        "continues it, leaves it out."
    )
    if np.mean([sighting.overlap for sighting in sightings]) >= _NEAR:
        text += " A smaller duplicate_iou drops second tracks on one person."
    return text


def _of_missed(sightings: Sequence[Sighting], dump: DetectionDump | None) -> str:
    overlap = float(np.mean([sighting.overlap for sighting in sightings]))
    if dump is None:
        if overlap >= _NEAR:
            return (
                f"A box of the results is near (mean IoU {overlap:.2f}), not near "
                "enough: noise_by_score makes boxes follow detections closer."
            )
        return (
            "Lower obj_score_thr or set low_score_thr, if the network saw the person: "
            "--detections tells."
        )
    scores = np.array([_best_score(sighting, dump) for sighting in sightings])
    found = scores > 0
    if found.mean() < _OFTEN:
        return (
            f"The network detected the person on {found.sum()} of {len(found)} frames: "
            "no option of the tracker helps, training data or a larger input may."
        )
    score = float(np.median(scores[found]))
    text = (
        f"Detected on {found.sum()} of {len(found)} frames, scores around {score:.2f}"
    )
    return (
        f"{text}: obj_score_thr below starts tracks there, low_score_thr below "
        "continues them."
    )


def _best_score(sighting: Sighting, dump: DetectionDump) -> float:
    """Score of the best detection of a person; 0 if there is none."""
    rows = dump.rows(sighting.frame)
    boxes = xyxy_to_xywh(dump.bboxes[rows].astype(float))
    (ious,) = overlaps(sighting.box[None], boxes)
    scores = dump.scores[rows][ious >= _SAME_OBJECT]
    return float(scores.max(initial=0))
