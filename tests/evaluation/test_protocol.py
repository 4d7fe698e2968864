from pathlib import Path

import motmetrics
import numpy as np
import pytest

from fairmot_mm.evaluation import protocol
from fairmot_mm.evaluation.protocol import (
    METRICS,
    evaluate_motmetrics,
    evaluate_trackeval,
    format_table,
)
from fairmot_mm.formats.mot import MOTSequence

# Three places that do not overlap: two people's and a static person's.
A, B, STATIC, ELSEWHERE = ((x, 100, 50, 100) for x in (100, 300, 500, 700))

# Three frames. A is followed by 10, then by 11: one switch. B is lost on frame 2: one
# miss. 30 sits on the static person: forgiven. 40 sits on nothing: one false positive.
GT = [(frame, *person) for frame in (1, 2, 3) for person in ((1, A), (2, B))]
RESULTS = [
    (1, 10, A),
    (1, 20, B),
    (2, 11, A),
    (2, 30, STATIC),
    (3, 11, A),
    (3, 20, B),
    (3, 40, ELSEWHERE),
]
# 6 boxes, 5 found: MOTA = 1 - (1 + 1 + 1) / 6. Identity: A by 11 (2 boxes) and B by
# 20 (2) out of 6 true and 6 found boxes. Every match is exact, so all thresholds
# agree: DetA = 5 / (5 + 1 + 1); AssA = (1 * 1/3 + 2 * 2/3 + 2 * 2/3) / 5.
TRUTH = {
    "HOTA": (5 / 7 * 0.6) ** 0.5,
    "DetA": 5 / 7,
    "AssA": 0.6,
    "MOTA": 0.5,
    "MOTP": 1.0,
    "IDF1": 4 / 6,
    "IDP": 4 / 6,
    "IDR": 4 / 6,
    "IDSW": 1,
    "FP": 1,
    "FN": 1,
    "MT": 1,
    "ML": 0,
    "Frag": 1,
}
WITHOUT_HOTA = {key: TRUTH[key] for key in METRICS[3:]}

BACKENDS = [evaluate_trackeval, evaluate_motmetrics]


def make_sequence(
    folder: Path,
    name: str = "MOT17-90",
    results: list = RESULTS,
    distractor: int | None = 7,
    gt: list = GT,
) -> MOTSequence:
    """Write ground truth and results; MOT15's format if there is no distractor."""
    sequence = MOTSequence(folder / name, name, 3, 30.0, 1000, 500)
    tail = "-1,-1,-1" if distractor is None else "1,1"
    lines = [f"{f},{i},{','.join(map(str, box))},1,{tail}" for f, i, box in gt]
    if distractor is not None:
        box = ",".join(map(str, STATIC))
        lines += [f"{f},3,{box},0,{distractor},1" for f in (1, 2, 3)]
    sequence.gt_path.parent.mkdir(parents=True)
    sequence.gt_path.write_text("\n".join(lines))
    lines = [f"{f},{i},{','.join(map(str, box))},1,-1,-1,-1" for f, i, box in results]
    (folder / f"{name}.txt").write_text("\n".join(lines))
    return sequence


@pytest.fixture
def log(monkeypatch) -> list[str]:
    messages: list[str] = []
    monkeypatch.setattr(
        protocol, "print_log", lambda message, **_: messages.append(message)
    )
    return messages


@pytest.mark.parametrize(
    ("evaluate", "truth"),
    [(evaluate_trackeval, TRUTH), (evaluate_motmetrics, WITHOUT_HOTA)],
)
def test_figures_computed_by_hand(tmp_path, capsys, evaluate, truth):
    figures = evaluate([make_sequence(tmp_path)], tmp_path)
    assert figures == {
        "MOT17-90": pytest.approx(truth),
        "COMBINED": pytest.approx(truth),
    }
    for key, value in figures["COMBINED"].items():
        assert type(value) is (int if key in protocol.COUNTS else float), key
    assert capsys.readouterr() == ("", "")
    assert sorted(path.name for path in tmp_path.rglob("*")) == [
        "MOT17-90",
        "MOT17-90.txt",
        "gt",
        "gt.txt",
    ]


@pytest.mark.parametrize(
    ("evaluate", "truth"),
    [(evaluate_trackeval, TRUTH), (evaluate_motmetrics, WITHOUT_HOTA)],
)
def test_identities_may_count_from_0(tmp_path, evaluate, truth):
    gt = [(frame, person - 1, box) for frame, person, box in GT]
    results = [(frame, track - 10, box) for frame, track, box in RESULTS]
    sequence = make_sequence(tmp_path, gt=gt, results=results)
    assert evaluate([sequence], tmp_path)["COMBINED"] == pytest.approx(truth)


@pytest.mark.parametrize("evaluate", BACKENDS)
def test_detection_on_a_car_is_not_forgiven(tmp_path, evaluate):
    figures = evaluate([make_sequence(tmp_path, distractor=3)], tmp_path)
    assert figures["COMBINED"]["FP"] == 2


@pytest.mark.parametrize(("name", "false_positives"), [("MOT20-90", 1), ("MOT17", 2)])
def test_non_mot_vehicles_are_forgiven_in_mot20(tmp_path, name, false_positives):
    sequence = make_sequence(tmp_path, name, distractor=6)
    figures = evaluate_trackeval([sequence], tmp_path)
    assert figures["COMBINED"]["FP"] == false_positives


@pytest.mark.parametrize("evaluate", BACKENDS)
def test_without_classes_nothing_is_forgiven(tmp_path, evaluate):
    figures = evaluate([make_sequence(tmp_path, distractor=None)], tmp_path)
    assert figures["COMBINED"]["FP"] == 2
    assert figures["COMBINED"]["FN"] == 1


@pytest.mark.parametrize("evaluate", BACKENDS)
def test_part_of_a_sequence(tmp_path, evaluate):
    sequence = make_sequence(tmp_path)
    figures = evaluate([sequence], tmp_path, {sequence.name: (2, 3)})["COMBINED"]
    # 4 boxes, 3 found; the switch was before.
    assert figures["MOTA"] == pytest.approx(1 - 2 / 4)
    assert [figures[key] for key in ("FN", "FP", "IDSW")] == [1, 1, 0]


@pytest.mark.parametrize("evaluate", BACKENDS)
def test_sequences_are_combined_by_counts(tmp_path, evaluate):
    perfect = make_sequence(tmp_path, "MOT17-91", results=GT)
    figures = evaluate([make_sequence(tmp_path), perfect], tmp_path)
    assert list(figures) == ["MOT17-90", "MOT17-91", "COMBINED"]
    assert figures["MOT17-91"]["MOTA"] == 1
    assert figures["COMBINED"]["MOTA"] == pytest.approx(1 - 3 / 12)
    assert figures["COMBINED"]["IDF1"] == pytest.approx((4 + 6) / 12)
    assert figures["COMBINED"]["FN"] == 1


def test_motmetrics_walks_only_frames_with_results(tmp_path, log):
    results = [row for row in RESULTS if row[0] != 2]
    sequence = make_sequence(tmp_path, results=results)
    assert evaluate_trackeval([sequence], tmp_path)["COMBINED"]["FN"] == 2
    assert not log
    assert evaluate_motmetrics([sequence], tmp_path)["COMBINED"]["FN"] == 0
    assert log == [
        "MOT17-90: 1 annotated frames have no result line; their people are not "
        "counted as missed by motmetrics' figures, which follow the published code"
    ]


@pytest.mark.parametrize("evaluate", BACKENDS)
def test_no_results_at_all(tmp_path, log, evaluate):
    silent = make_sequence(tmp_path, results=[])
    figures = evaluate([silent, make_sequence(tmp_path, "MOT17-91")], tmp_path)
    assert figures["MOT17-90"]["MOTA"] == 0
    assert figures["MOT17-90"]["MOTP"] == 0
    assert figures["MOT17-90"]["FN"] == (6 if evaluate is evaluate_trackeval else 0)
    assert figures["COMBINED"]["MOTP"] == pytest.approx(1)


@pytest.mark.parametrize("evaluate", BACKENDS)
def test_nobody_to_find_is_scored_and_said(tmp_path, log, evaluate):
    gt = [row for row in GT if row[0] == 1]
    sequence = make_sequence(tmp_path, gt=gt)
    figures = evaluate([sequence], tmp_path, {sequence.name: (2, 3)})
    assert figures["COMBINED"] == figures["MOT17-90"]
    assert figures["COMBINED"]["MOTA"] == 0
    assert figures["COMBINED"]["FP"] == 4
    assert log == [
        f"{sequence.gt_path}: no considered pedestrian in frames 2 to 3; MOT17-90 only "
        "adds false positives"
    ]


@pytest.mark.parametrize("evaluate", BACKENDS)
def test_identities_may_be_any_number(tmp_path, evaluate):
    names = {10: -1, 11: 10**15, 20: 0, 30: 7, 40: 8}
    results = [(frame, names[i], box) for frame, i, box in RESULTS]
    figures = evaluate([make_sequence(tmp_path, results=results)], tmp_path)
    truth = TRUTH if evaluate is evaluate_trackeval else WITHOUT_HOTA
    assert figures["COMBINED"] == pytest.approx(truth)


@pytest.mark.parametrize("evaluate", BACKENDS)
def test_errors_name_what_is_wrong(tmp_path, evaluate):
    sequence = make_sequence(tmp_path)
    result_path = tmp_path / "MOT17-90.txt"
    with pytest.raises(ValueError, match="no sequences to evaluate"):
        evaluate([], tmp_path)
    with pytest.raises(ValueError, match="two sequences are named MOT17-90"):
        evaluate([sequence, sequence], tmp_path)
    with pytest.raises(ValueError, match="frames are given for MOT17-1, which is not"):
        evaluate([sequence], tmp_path, {"MOT17-1": (1, 2)})
    with pytest.raises(ValueError, match="MOT17-90: frames 2 to 4 to evaluate"):
        evaluate([sequence], tmp_path, {"MOT17-90": (2, 4)})
    result_path.write_text("1,1,1,1,9,9\n4,1,1,1,9,9\n")
    with pytest.raises(ValueError, match=r"MOT17-90\.txt:2: frame 4, expected at most"):
        evaluate([sequence], tmp_path)
    result_path.unlink()
    with pytest.raises(FileNotFoundError, match=r"MOT17-90\.txt: no such result file"):
        evaluate([sequence], tmp_path)


def test_unknown_class_is_named(tmp_path):
    sequence = make_sequence(tmp_path, distractor=14)
    with pytest.raises(ValueError, match=r"gt\.txt:7: class 14, expected 1 "):
        evaluate_trackeval([sequence], tmp_path)


def test_protocols_are_not_mixed(tmp_path):
    sequences = [make_sequence(tmp_path, name) for name in ("MOT17-90", "MOT20-90")]
    message = "MOT17-90 is MOT17, MOT20-90 is MOT20.; evaluate them separately"
    with pytest.raises(ValueError, match=message):
        evaluate_trackeval(sequences, tmp_path)


def test_real_sequences_agree_with_motmetrics_itself(tmp_path, monkeypatch):
    # What motmetrics' own loop over the frames needs of NumPy 1.
    monkeypatch.setattr(
        np, "asfarray", lambda a: np.asarray(a, dtype=float), raising=False
    )
    data = Path(motmetrics.__file__).parent / "data"
    sequences, accumulators = [], []
    for name, length in (("TUD-Campus", 71), ("TUD-Stadtmitte", 179)):
        folder = data / name
        sequence = MOTSequence(folder, name, length, 25, 640, 480, gt_file="gt.txt")
        sequences.append(sequence)
        (tmp_path / f"{name}.txt").write_text((folder / "test.txt").read_text())
        gt, results = (
            motmetrics.io.loadtxt(folder / file, fmt="mot15-2D", min_confidence=least)
            for file, least in (("gt.txt", 1), ("test.txt", -1))
        )
        accumulators.append(
            motmetrics.utils.compare_to_groundtruth(gt, results, "iou", distth=0.5)
        )
    names = {
        "MOTA": "mota",
        "MOTP": "motp",
        "IDF1": "idf1",
        "IDP": "idp",
        "IDR": "idr",
        "IDSW": "num_switches",
        "FP": "num_false_positives",
        "FN": "num_misses",
        "MT": "mostly_tracked",
        "ML": "mostly_lost",
        "Frag": "num_fragmentations",
    }
    truth = motmetrics.metrics.create().compute_many(
        accumulators,
        names=[sequence.name for sequence in sequences],
        metrics=list(names.values()),
        generate_overall=True,
    )
    truth["motp"] = 1 - truth["motp"]
    ours = evaluate_motmetrics(sequences, tmp_path)
    benchmark = evaluate_trackeval(sequences, tmp_path)
    for name in ours:
        row = truth.loc["OVERALL" if name == "COMBINED" else name]
        expected = {key: row[column] for key, column in names.items()}
        assert ours[name] == pytest.approx(expected)
        shared = {key: benchmark[name][key] for key in names}
        assert shared == pytest.approx(expected, abs=2e-3)
    assert 0.39 < benchmark["COMBINED"]["HOTA"] < 0.41


def test_table_is_plain_and_combined_is_last():
    figures = {"COMBINED": TRUTH, "MOT17-90": WITHOUT_HOTA}
    header, rule, *rows = format_table(figures).splitlines()
    cells = [[cell.strip() for cell in row.strip("|").split("|")] for row in rows]
    assert [cell.strip() for cell in header.strip("|").split("|")] == [
        "Sequence",
        *METRICS,
    ]
    assert set(rule) == set("|-")
    assert [row[0] for row in cells] == ["MOT17-90", "COMBINED"]
    assert cells[0][1:5] == ["-", "-", "-", "50.0"]
    assert cells[1][1:6] == ["65.5", "71.4", "60.0", "50.0", "100.0"]
    assert cells[1][6:] == ["66.7", "66.7", "66.7", "1", "1", "1", "1", "0", "1"]
