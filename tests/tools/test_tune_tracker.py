"""A search over the tracker's options, on detections made up for it."""

import csv
import json
import runpy
from pathlib import Path

import numpy as np
import pytest

from fairmot_mm.formats.boxes import xywh_to_xyxy
from fairmot_mm.formats.detection_dumps import DumpInfo, DumpWriter, FrameDetections
from fairmot_mm.formats.mot import find_sequences, read_gt

TOOL = Path(__file__).parents[2] / "tools/tune_tracker.py"
TRACKING = dict(
    model=dict(tracker=dict(type="JDETracker", obj_score_thr=0.6)), test_evaluator={}
)


def tune(*arguments) -> int:
    return runpy.run_path(str(TOOL))["main"]([*map(str, arguments)])


@pytest.fixture(scope="module")
def dumps(synthetic, tmp_path_factory) -> Path:
    """Everybody scores 0.3, and nobody 0.12: the threshold of 0.6 is too high."""
    folder = tmp_path_factory.mktemp("dumps")
    rng = np.random.default_rng(0)
    for sequence in find_sequences(synthetic):
        truth = read_gt(sequence)
        info = DumpInfo(sequence.name, 1, 1, 30.0, tracking=TRACKING, min_score=0.05)
        writer = DumpWriter(folder, info)
        for frame in range(1, sequence.length + 1):
            people = truth.select(truth.frames == frame)
            ghosts = xywh_to_xyxy(
                np.hstack((rng.uniform(0, 90, (4, 2)), np.full((4, 2), 9)))
            )
            boxes = np.vstack((xywh_to_xyxy(people.boxes), ghosts))
            scores = np.r_[np.full(len(people), 0.3), np.full(4, 0.12)]
            looks = np.vstack((np.eye(9)[people.ids % 9], rng.normal(size=(4, 9))))
            found = FrameDetections(boxes, scores, np.zeros(len(boxes)), looks)
            writer.write(found.as_written(info.min_score))
        writer.close()
    return folder


@pytest.fixture(scope="module")
def search(dumps, synthetic, tmp_path_factory) -> tuple:
    out = tmp_path_factory.mktemp("search") / "out"
    data = (dumps, "--gt-root", synthetic, "--workers", 1, "--out", out)
    return *data, "--tune-on", "SYN-00", "SYN-01", "--report-on", "SYN-02"


def test_a_search_finds_the_threshold_and_goes_on(search, capfd):
    assert tune(*search, "--trials", 12) == 0
    text = capfd.readouterr().out
    out = search[search.index("--out") + 1]
    told = json.loads((out / "figures.json").read_text())
    for split in ("tuned on", "reported on"):
        before, after = (told["figures"][split][when] for when in ("before", "after"))
        assert before["COMBINED"]["HOTA"] == 0
        assert after["COMBINED"]["HOTA"] > 0.5
    assert set(told["figures"]["tuned on"]["after"]) == {"SYN-00", "SYN-01", "COMBINED"}
    assert set(told["figures"]["reported on"]["after"]) == {"SYN-02", "COMBINED"}
    threshold = told["options"]["model.tracker.obj_score_thr"]
    assert threshold < 0.3
    assert f"--cfg-options model.tracker.obj_score_thr={threshold}" in text
    assert (out / "importance.png").read_bytes().startswith(b"\x89PNG")
    assert len(list((out / "results_after").iterdir())) == 3

    # The same command goes on; the trials before are not repeated.
    assert tune(*search, "--trials", 14) == 0
    with (out / "trials.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert sorted(int(row["trial"]) for row in rows) == list(range(14))
    assert rows[0]["state"] == "complete"
    assert float(rows[0]["objective"]) == max(
        float(row["objective"]) for row in rows if row["objective"]
    )
    # The first trial is what was dumped with.
    (first,) = (row for row in rows if row["trial"] == "0")
    assert float(first["obj_score_thr"]) == 0.6
    assert first["low_score_thr"] == ""

    # Another search does not go on there.
    assert tune(*search, "--trials", 15, "--objective", "IDF1") == 2
    assert "differs in objective" in capfd.readouterr().err


def test_mistakes_are_one_line(search, dumps, synthetic, tmp_path, capsys):
    def error(*arguments) -> str:
        given = ("--out", tmp_path / "out", "--trials", 1)
        assert tune(dumps, "--gt-root", synthetic, *arguments, *given) == 2
        return capsys.readouterr().err.strip().splitlines()[-1]

    assert "give --tune-on and --report-on" in error()
    both = ("--tune-on", "SYN-00", "--report-on", "SYN-00", "SYN-01")
    assert "SYN-00: both to tune and to report on" in error(*both)
    split = ("--tune-on", "SYN-00", "--report-on")
    assert "no sequence MOT17-99" in error(*split, "MOT17-99")
    unknown = error(*split, "SYN-01", "--objective", "Hota")
    assert "objective Hota: expected one of HOTA" in unknown
