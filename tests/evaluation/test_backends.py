import pytest
from scored_sequences import (
    GT,
    RESULTS,
    TRUTH,
    WITHOUT_HOTA,
    make_sequence,
    score,
)

from fairmot_mm.evaluation import BACKENDS, cases
from fairmot_mm.evaluation.figures import COUNTS

TRUTHS = {"trackeval": TRUTH, "motmetrics": WITHOUT_HOTA}


@pytest.mark.parametrize(("backend", "truth"), TRUTHS.items())
def test_figures_computed_by_hand(tmp_path, capsys, backend, truth):
    figures = score(backend, [make_sequence(tmp_path)], tmp_path)
    assert figures == {
        "MOT17-90": pytest.approx(truth),
        "COMBINED": pytest.approx(truth),
    }
    for key, value in figures["COMBINED"].items():
        assert type(value) is (int if key in COUNTS else float), key
    assert capsys.readouterr() == ("", "")
    assert sorted(path.name for path in tmp_path.rglob("*")) == [
        "MOT17-90",
        "MOT17-90.txt",
        "gt",
        "gt.txt",
    ]


@pytest.mark.parametrize(("backend", "truth"), TRUTHS.items())
def test_identities_may_count_from_0(tmp_path, backend, truth):
    gt = [(frame, person - 1, box) for frame, person, box in GT]
    results = [(frame, track - 10, box) for frame, track, box in RESULTS]
    sequence = make_sequence(tmp_path, gt=gt, results=results)
    assert score(backend, [sequence], tmp_path)["COMBINED"] == pytest.approx(truth)


@pytest.mark.parametrize("backend", BACKENDS)
def test_detection_on_a_car_is_not_forgiven(tmp_path, backend):
    figures = score(backend, [make_sequence(tmp_path, distractor=3)], tmp_path)
    assert figures["COMBINED"]["FP"] == 2


@pytest.mark.parametrize("backend", BACKENDS)
def test_without_classes_nothing_is_forgiven(tmp_path, backend):
    figures = score(backend, [make_sequence(tmp_path, distractor=None)], tmp_path)
    assert figures["COMBINED"]["FP"] == 2
    assert figures["COMBINED"]["FN"] == 1


@pytest.mark.parametrize("backend", BACKENDS)
def test_part_of_a_sequence(tmp_path, backend):
    sequence = make_sequence(tmp_path)
    figures = score(backend, [sequence], tmp_path, {sequence.name: (2, 3)})["COMBINED"]
    # 4 boxes, 3 found; the switch was before.
    assert figures["MOTA"] == pytest.approx(1 - 2 / 4)
    assert [figures[key] for key in ("FN", "FP", "IDSW")] == [1, 1, 0]


@pytest.mark.parametrize("backend", BACKENDS)
def test_sequences_are_combined_by_counts(tmp_path, backend):
    perfect = make_sequence(tmp_path, "MOT17-91", results=GT)
    figures = score(backend, [make_sequence(tmp_path), perfect], tmp_path)
    assert list(figures) == ["MOT17-90", "MOT17-91", "COMBINED"]
    assert figures["MOT17-91"]["MOTA"] == 1
    assert figures["COMBINED"]["MOTA"] == pytest.approx(1 - 3 / 12)
    assert figures["COMBINED"]["IDF1"] == pytest.approx((4 + 6) / 12)
    assert figures["COMBINED"]["FN"] == 1


@pytest.mark.parametrize("backend", BACKENDS)
def test_no_results_at_all(tmp_path, backend):
    silent = make_sequence(tmp_path, results=[])
    figures = score(backend, [silent, make_sequence(tmp_path, "MOT17-91")], tmp_path)
    assert figures["MOT17-90"]["MOTA"] == 0
    assert figures["MOT17-90"]["MOTP"] == 0
    assert figures["MOT17-90"]["FN"] == (6 if backend == "trackeval" else 0)
    assert figures["COMBINED"]["MOTP"] == pytest.approx(1)


@pytest.mark.parametrize("backend", BACKENDS)
def test_nobody_to_find_is_scored_and_said(tmp_path, monkeypatch, backend):
    log: list[str] = []
    monkeypatch.setattr(cases, "print_log", lambda message, **_: log.append(message))
    gt = [row for row in GT if row[0] == 1]
    sequence = make_sequence(tmp_path, gt=gt)
    figures = score(backend, [sequence], tmp_path, {sequence.name: (2, 3)})
    assert figures["COMBINED"] == figures["MOT17-90"]
    assert figures["COMBINED"]["MOTA"] == 0
    assert figures["COMBINED"]["FP"] == 4
    assert log == [
        f"{sequence.gt_path}: no considered pedestrian in frames 2 to 3; MOT17-90 only "
        "adds false positives"
    ]


@pytest.mark.parametrize("backend", BACKENDS)
def test_identities_may_be_any_number(tmp_path, backend):
    names = {10: -1, 11: 10**15, 20: 0, 30: 7, 40: 8}
    results = [(frame, names[i], box) for frame, i, box in RESULTS]
    figures = score(backend, [make_sequence(tmp_path, results=results)], tmp_path)
    assert figures["COMBINED"] == pytest.approx(TRUTHS[backend])
