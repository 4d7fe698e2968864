"""The picture of accuracy against speed."""

import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "tools/analysis_tools"))

import reference_impl
import speed_accuracy as tool

from fairmot_mm.apis import init_model
from fairmot_mm.synthetic import make_sequence


@pytest.fixture(scope="module")
def sequence(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("chart")
    return make_sequence(
        root, "SYN-00", num_frames=4, num_people=2, size=(96, 64), seed=0
    )


def test_mistakes_are_one_line(sequence, tmp_path, capsys):
    arguments = [str(sequence.parent), "--calibration", "x", "--out", "chart.png"]
    assert tool.main([*arguments, "--frames", "0"]) == 2
    assert capsys.readouterr().err == "error: --frames 0: at least 1\n"
    assert tool.main([*arguments, "--sizes", "100x64"]) == 2
    assert "multiple" in capsys.readouterr().err


def test_published_way_runs_the_whole_video(sequence, monkeypatch):
    options = {"test_dataloader.dataset.input_size": (96, 64)}
    light = init_model(device="cpu", cfg_options=options)
    seen = []
    track = reference_impl.TrackByTrack.track

    def counted(self, **kwargs):
        seen.append(kwargs["data_sample"].frame_id)
        return track(self, **kwargs)

    monkeypatch.setattr(reference_impl.TrackByTrack, "track", counted)
    assert tool.published_frames_per_second(light, sequence / "img1", runs=1) > 0
    assert seen == [0, 1, 2, 3] * 2  # once to warm up


def test_marks_stand_where_the_figures_are(tmp_path):
    figures = dict(HOTA=40.0, MOTA=30.0, IDF1=50.0)
    points = [
        tool.Point("64x64", "float32", 5.0, figures),
        tool.Point("64x64", "int8", 10.0, figures | dict(HOTA=39.0)),
    ]
    assert str(points[1]).startswith("64x64, int8: 10.0 frames a second, HOTA 39.0")
    tool.draw(points, "2 sequences", tmp_path / "docs" / "chart.png")
    image = cv2.imread(str(tmp_path / "docs" / "chart.png"))
    blue, orange = ((180, 119, 31), (14, 127, 255))  # the first two colours, BGR
    rows, columns = np.nonzero((image == blue).all(2))
    below, right = np.nonzero((image == orange).all(2))
    assert rows.min() < below.min()
    assert columns.min() < right.min()
