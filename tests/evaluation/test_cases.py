import pytest
from scored_sequences import make_sequence

from fairmot_mm.evaluation import load_cases


def test_errors_name_what_is_wrong(tmp_path):
    sequence = make_sequence(tmp_path)
    result_path = tmp_path / "MOT17-90.txt"
    with pytest.raises(ValueError, match="no sequences to evaluate"):
        load_cases([], tmp_path)
    with pytest.raises(ValueError, match="two sequences are named MOT17-90"):
        load_cases([sequence, sequence], tmp_path)
    with pytest.raises(ValueError, match="frames are given for MOT17-1, which is not"):
        load_cases([sequence], tmp_path, {"MOT17-1": (1, 2)})
    with pytest.raises(ValueError, match="MOT17-90: frames 2 to 4 to evaluate"):
        load_cases([sequence], tmp_path, {"MOT17-90": (2, 4)})
    result_path.write_text("1,1,1,1,9,9\n4,1,1,1,9,9\n")
    with pytest.raises(ValueError, match=r"MOT17-90\.txt:2: frame 4, expected at most"):
        load_cases([sequence], tmp_path)
    result_path.unlink()
    with pytest.raises(FileNotFoundError, match=r"MOT17-90\.txt: no such result file"):
        load_cases([sequence], tmp_path)
