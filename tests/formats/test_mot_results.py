import numpy as np
import pytest

from fairmot_mm.formats.mot_results import read_results, write_results


def test_results_survive_a_round_trip(tmp_path):
    path = tmp_path / "new" / "folder" / "SEQ.txt"
    rows = np.array(
        [
            [2, 1, 10.1239, -5, 30, 40, 0.9],
            [1, 12, 10, 20, 30, 40, 0.55],
            [1, 3, 10, 20, 30, 40.5, 1],
        ]
    )
    write_results(path, rows)
    assert path.read_text().splitlines() == [
        "1,3,10.000,20.000,30.000,40.500,1.0000,-1,-1,-1",
        "1,12,10.000,20.000,30.000,40.000,0.5500,-1,-1,-1",
        "2,1,10.124,-5.000,30.000,40.000,0.9000,-1,-1,-1",
    ]
    np.testing.assert_allclose(read_results(path), rows[[2, 1, 0]], atol=5e-4)


def test_no_results_are_results(tmp_path):
    write_results(tmp_path / "SEQ.txt", np.empty((0, 7)))
    assert (tmp_path / "SEQ.txt").read_text() == ""
    assert read_results(tmp_path / "SEQ.txt").shape == (0, 7)


def test_score_of_results_is_optional(tmp_path):
    (tmp_path / "SEQ.txt").write_text("1,-4,1,2,3,4\n")
    assert read_results(tmp_path / "SEQ.txt").tolist() == [[1, -4, 1, 2, 3, 4, 1]]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("1,2,3,4,5", "5 columns, expected at least 6"),
        ("1,2,3,4,x,6", "not numeric"),
        ("1,2,3,4,nan,6", "NaN or infinity"),
        ("0,2,3,4,5,6", "frame 0, expected 1 or more"),
        ("-1,2,3,4,5,6", "frame -1, expected 1 or more"),
        ("1,2.5,3,4,5,6", "id 2.5, expected a whole number"),
        ("1,1,3,4,5,6", "id 1 is twice in frame 1"),
        ("6,1,3,4,5,6", "frame 6, expected at most 5"),
    ],
)
def test_broken_result_line_is_named(tmp_path, line, message):
    path = tmp_path / "SEQ.txt"
    path.write_text(f"1,1,1,2,3,4\n{line}\n")
    with pytest.raises(ValueError, match=message) as error:
        read_results(path, length=5)
    assert str(error.value).startswith(f"{path}:2: ")


def test_missing_results_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"SEQ\.txt: no such result file"):
        read_results(tmp_path / "SEQ.txt")
