from pathlib import Path

import motmetrics
import numpy as np
import pytest
from scored_sequences import RESULTS, make_sequence, score

from fairmot_mm.evaluation import motmetrics_backend
from fairmot_mm.formats.mot import MOTSequence


def test_only_frames_with_results_are_scored(tmp_path, monkeypatch):
    log: list[str] = []
    monkeypatch.setattr(
        motmetrics_backend, "print_log", lambda message, **_: log.append(message)
    )
    results = [row for row in RESULTS if row[0] != 2]
    sequence = make_sequence(tmp_path, results=results)
    assert score("trackeval", [sequence], tmp_path)["COMBINED"]["FN"] == 2
    assert not log
    assert score("motmetrics", [sequence], tmp_path)["COMBINED"]["FN"] == 0
    assert log == [
        "MOT17-90: 1 annotated frames have no result line; as in the reference "
        "implementation, motmetrics' figures do not count their people as missed"
    ]


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
    ours = score("motmetrics", sequences, tmp_path)
    benchmark = score("trackeval", sequences, tmp_path)
    for name in ours:
        row = truth.loc["OVERALL" if name == "COMBINED" else name]
        expected = {key: row[column] for key, column in names.items()}
        assert ours[name] == pytest.approx(expected)
        shared = {key: benchmark[name][key] for key in names}
        assert shared == pytest.approx(expected, abs=2e-3)
    assert 0.39 < benchmark["COMBINED"]["HOTA"] < 0.41
