"""The single errors, by hand and against the counts of the metrics."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from scored_sequences import TRUTH, make_sequence

from fairmot_mm.evaluation import load_cases
from fairmot_mm.evaluation.trackeval_backend import evaluate_in_detail
from fairmot_mm.evaluation.tracking_errors import follow, list_errors


def analyse(sequence, folder):
    (case,) = load_cases([sequence], folder)
    figures, curves, details = evaluate_in_detail([case])
    sightings = follow(case, details[case.name])
    return figures[case.name], curves[case.name], sightings, list_errors(sightings)


def check_counts(figures, errors):
    kinds = Counter(error.kind for error in errors)
    assert kinds["switch"] == figures["IDSW"]
    assert kinds["broken"] == figures["Frag"]
    costs = Counter()
    for error in errors:
        costs[error.kind] += error.cost
    assert costs["missed"] + costs["broken"] == figures["FN"]
    assert costs["false alarm"] == figures["FP"]


def test_errors_of_a_sequence_by_hand(tmp_path):
    figures, curves, _, errors = analyse(make_sequence(tmp_path), tmp_path)
    assert figures == pytest.approx(TRUTH)
    np.testing.assert_allclose(curves["HOTA"], TRUTH["HOTA"])
    check_counts(figures, errors)
    found = {error.kind: error for error in errors}
    switch = found["switch"]
    assert (switch.before.frame, switch.after.frame) == (1, 2)
    assert (switch.before.track, switch.after.track) == (10, 11)
    assert switch.after.person == 1
    assert switch.cost == 1  # one box of 10, two of 11
    broken = found["broken"]
    assert [s.frame for s in broken.sightings] == [2]
    assert broken.sightings[0].person == 2
    assert (broken.before.track, broken.after.track) == (20, 20)
    assert found["false alarm"].sightings[0].track == 40


def random_results(seed):
    """Boxes that sit on people, beside them or nowhere, with identities that vary."""
    rng = np.random.default_rng(seed)
    truth, results = [], []
    for frame in range(1, 40):
        for person in range(11, 16):
            box = (100 * (person - 10) + 3 * frame, 100, 50, 100)
            if rng.random() < 0.85:
                truth.append((frame, person, box))
            if frame % 13 and rng.random() < 0.7:
                shift = int(rng.integers(0, 30))
                track = person + 10 * int(rng.integers(0, 2))
                results.append((frame, track, (box[0] + shift, *box[1:])))
    return truth, results


@pytest.mark.parametrize("seed", range(4))
def test_errors_add_up_to_the_counts(tmp_path, seed):
    gt, results = random_results(seed)
    sequence = make_sequence(tmp_path, results=results, gt=gt)
    sequence = replace(sequence, length=40)
    figures, _, sightings, errors = analyse(sequence, tmp_path)
    assert figures["Frag"] > 5
    assert figures["IDSW"] > 5
    check_counts(figures, errors)
    assert [e.cost for e in errors] == sorted((e.cost for e in errors), reverse=True)
    # Every true box, once.
    seen = {(s.frame, s.person) for s in sightings if s.person != -1}
    assert seen == {(frame, person) for frame, person, _ in gt}
    tracks = {(s.frame, s.track) for s in sightings if s.track != -1}
    assert tracks == {(frame, track) for frame, track, _ in results}
