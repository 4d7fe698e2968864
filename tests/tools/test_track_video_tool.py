import subprocess
import sys
from pathlib import Path

import pytest
import torch
from mmengine.config import Config

from fairmot_mm.formats.mot_results import read_results
from fairmot_mm.registry import MODELS

ROOT = Path(__file__).parents[2]


def run(*arguments) -> subprocess.CompletedProcess:
    command = [sys.executable, ROOT / "tools/track_video.py", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    config = Config.fromfile(ROOT / "configs/fairmot_dla34_demo.py")
    config.model.reid_head.num_ids = 4
    path = tmp_path_factory.mktemp("checkpoint") / "weights.pth"
    torch.save(MODELS.build(config.model).state_dict(), path)
    return path


def test_a_folder_becomes_tracks_and_a_video(checkpoint, synthetic, tmp_path):
    out, drawing = tmp_path / "tracks.txt", tmp_path / "tracks.mp4"
    outcome = run(
        *(synthetic / "SYN-00/img1", ROOT / "configs/fairmot_dla34_demo.py"),
        *(checkpoint, "--out", out, "--show", drawing, "--amp"),
        *(
            "--cfg-options",
            "model.tracker.obj_score_thr=0",
            "model.tracker.min_box_area=0",
        ),
    )
    assert outcome.returncode == 0, outcome.stderr
    assert "6 frames in" in outcome.stdout
    assert len(read_results(out))
    assert drawing.stat().st_size


def test_wrong_input_is_one_line(checkpoint, tmp_path):
    config = ROOT / "configs/fairmot_dla34_demo.py"
    outcome = run(tmp_path / "no.mp4", config, checkpoint, "--out", tmp_path / "t.txt")
    assert outcome.returncode == 2
    assert outcome.stderr.splitlines()[-1].startswith("error: unreadable video")
