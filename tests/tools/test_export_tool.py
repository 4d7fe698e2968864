"""Mistakes and a whole run of tools/deployment/export.py, in this process."""

import re
import runpy
from pathlib import Path

import pytest
import torch
from mmengine.config import Config

from fairmot_mm.formats.mot_results import read_results
from fairmot_mm.registry import MODELS

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
        (["--size", "large"], "size large: expected WIDTHxHEIGHT"),
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


@pytest.fixture
def short(tmp_path):
    """Config and checkpoint of a short network with random weights."""
    cfg = Config.fromfile(ROOT / "configs/fairmot_resdcn18_mot17.py")
    cfg.model.backbone.update(
        num_stages=2, strides=(1, 2), dilations=(1, 1), out_indices=(1,)
    )
    cfg.model.neck.update(in_channels=128, channels=(8,))
    for head in (cfg.model.bbox_head, cfg.model.reid_head):
        head.update(in_channels=8, feat_channels=8)
    cfg.model.tracker.update(obj_score_thr=0.05, min_box_area=0)
    cfg.dump(tmp_path / "short.py")
    torch.manual_seed(0)
    torch.save(MODELS.build(cfg.model).state_dict(), tmp_path / "short.pth")
    return [str(tmp_path / "short.py"), str(tmp_path / "short.pth")]


def test_export_then_track(export, track, short, capsys, synthetic, tmp_path):
    pytest.importorskip("openvino")
    target, out = tmp_path / "short.xml", tmp_path / "tracks.txt"
    folder = str(synthetic / "SYN-00/img1")
    options = ["--to", str(target), "--size", "192x128", "--compare", folder]
    assert export([*short, *options]) == 0
    assert re.search(r"mean difference at \d+ peaks", capsys.readouterr().out)
    assert track([folder, "--model", str(target), "--out", str(out)]) == 0
    assert "6 frames in" in capsys.readouterr().out
    rows = read_results(out)
    assert set(rows[:, 0]) <= {1, 2, 3, 4, 5, 6}
    assert len(rows)
    none = ["--cfg-options", "model.tracker.obj_score_thr=1.0"]
    assert track([folder, "--model", str(target), "--out", str(out), *none]) == 0
    assert out.read_text() == ""


def test_model_and_config_exclude_each_other(track, capsys):
    command = ["a.mp4", "config.py", "--model", "m.xml", "--out", "t.txt"]
    assert track(command) == 2
    assert "--model brings its own config" in capsys.readouterr().err
