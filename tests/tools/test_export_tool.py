"""Mistakes and a whole run of tools/deployment/export.py, in this process."""

import re
import runpy
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[2]
CONFIG = "small_data/fairmot_yolov5s_576x320"
WEIGHTS = "fairmot://yolov5s_576x320"


@pytest.fixture(scope="module")
def export():
    return runpy.run_path(str(ROOT / "tools/deployment/export.py"))["main"]


@pytest.fixture(scope="module")
def track():
    return runpy.run_path(str(ROOT / "tools/track_video.py"))["main"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--size", "570x320"], "size 570x320 of the network input: .*multiples of 32"),
        (["--size", "large"], "--size large: expected WIDTHxHEIGHT"),
        (["--int8"], "--int8 needs --calibration"),
        (["--calibration", "a.mp4"], "--calibration needs --int8"),
        (["--int8", "--calibration", "no.mp4"], r"no\.mp4"),
        (["--int8", "--calibration", "no_such"], "no config no_such"),
        (
            ["--int8", "--calibration", "a.mp4", "--calibration-frames", "0"],
            "--calibration-frames 0",
        ),
    ],
)
def test_mistakes_end_in_one_line(export, capsys, tmp_path, options, message):
    target = tmp_path / "model.xml"
    assert export([CONFIG, WEIGHTS, "--to", str(target), *options]) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert line.startswith("error: ")
    assert re.search(message, line)
    assert not target.exists()


def test_a_config_without_size_asks_for_one(export, capsys, tmp_path):
    options = ["--cfg-options", "test_dataloader.dataset.input_size=None"]
    assert export([CONFIG, WEIGHTS, "--to", str(tmp_path / "m.xml"), *options]) == 2
    assert "name the size of the network input by --size" in capsys.readouterr().err


def test_export_then_track(export, track, capsys, synthetic, tmp_path):
    pytest.importorskip("openvino")
    target, out = tmp_path / "light.xml", tmp_path / "tracks.txt"
    assert export([CONFIG, WEIGHTS, "--to", str(target), "--size", "192x128"]) == 0
    assert "mean difference at 60 peaks" in capsys.readouterr().out
    low = ["--cfg-options", "model.tracker.obj_score_thr=0.05"]
    source = str(synthetic / "SYN-00/img1")
    assert track([source, "--model", str(target), "--out", str(out), *low]) == 0
    assert "6 frames in" in capsys.readouterr().out
    plain = np.loadtxt(out, delimiter=",", ndmin=2)
    assert len(plain)
    assert plain[:, 0].max() <= 6


def test_model_and_config_exclude_each_other(track, capsys):
    command = ["a.mp4", "config.py", "--model", "m.xml", "--out", "t.txt"]
    assert track(command) == 2
    assert "--model brings its own config" in capsys.readouterr().err
