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


def test_protocols_are_not_mixed(tmp_path):
    sequences = [make_sequence(tmp_path, name) for name in ("MOT17-90", "MOT20-90")]
    message = "MOT17-90 is MOT17, MOT20-90 is MOT20.; evaluate them separately"
    with pytest.raises(ValueError, match=message):
        score("trackeval", sequences, tmp_path)
