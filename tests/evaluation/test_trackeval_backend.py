import pytest
from scored_sequences import make_sequence, score


@pytest.mark.parametrize(("name", "false_positives"), [("MOT20-90", 1), ("MOT17", 2)])
def test_non_mot_vehicles_are_forgiven_in_mot20(tmp_path, name, false_positives):
    sequence = make_sequence(tmp_path, name, distractor=6)
    figures = score("trackeval", [sequence], tmp_path)
    assert figures["COMBINED"]["FP"] == false_positives


def test_unknown_class_is_named(tmp_path):
    sequence = make_sequence(tmp_path, distractor=14)
    with pytest.raises(ValueError, match=r"gt\.txt:7: class 14, expected 1 "):
        score("trackeval", [sequence], tmp_path)


def test_sequences_of_several_protocols_are_combined(tmp_path):
    sequences = [
        make_sequence(tmp_path, "MOT17-90", distractor=6),
        make_sequence(tmp_path, "MOT20-90", distractor=6),
        make_sequence(tmp_path, "MOT15-90", distractor=None),
    ]
    figures = score("trackeval", sequences, tmp_path)
    # A vehicle is a distractor in MOT20 alone.
    false_positives = {name: figures[name]["FP"] for name in figures}
    assert false_positives == {
        "MOT17-90": 2,
        "MOT20-90": 1,
        "MOT15-90": 2,
        "COMBINED": 5,
    }
    assert figures["COMBINED"]["MOTA"] == pytest.approx(1 - (5 + 3 + 3) / 18)
    assert figures["COMBINED"]["HOTA"] == pytest.approx((15 / 23 * 0.6) ** 0.5)
