import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import pytest
import torch
from mmengine.config import Config

from fairmot_mm.formats.mot_results import read_results
from fairmot_mm.registry import MODELS

ROOT = Path(__file__).parents[2]


CONFIG = ROOT / "configs/fairmot_dla34_demo.py"
EVERYTHING = (
    "--cfg-options",
    *("model.tracker.obj_score_thr=0", "model.tracker.min_box_area=0"),
    "model.tracker.max_aspect_ratio=None",
)


def command(*arguments) -> list:
    return [sys.executable, ROOT / "tools/track_video.py", *map(str, arguments)]


def run(*arguments) -> subprocess.CompletedProcess:
    return subprocess.run(
        command(*arguments), capture_output=True, text=True, check=False
    )


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    config = Config.fromfile(CONFIG)
    config.model.reid_head.num_ids = 4
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("checkpoint") / "weights.pth"
    torch.save(MODELS.build(config.model).state_dict(), path)
    return path


def test_a_folder_becomes_tracks_and_a_video(checkpoint, synthetic, tmp_path):
    out, drawing = tmp_path / "tracks.txt", tmp_path / "tracks.mp4"
    outcome = run(
        *(synthetic / "SYN-00/img1", CONFIG, checkpoint, "--out", out),
        *("--show", drawing, "--amp", "--fps", 12, *EVERYTHING),
    )
    assert outcome.returncode == 0, outcome.stderr
    assert "6 frames in" in outcome.stdout
    assert len(read_results(out))
    assert cv2.VideoCapture(str(drawing)).get(cv2.CAP_PROP_FPS) == 12


def test_wrong_input_is_one_line(checkpoint, tmp_path):
    outcome = run(tmp_path / "no.mp4", CONFIG, checkpoint, "--out", tmp_path / "t.txt")
    assert outcome.returncode == 2
    assert outcome.stderr.splitlines()[-1].startswith("error: unreadable video")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_with_whole_files(checkpoint, synthetic, tmp_path, number):
    folder = tmp_path / "images"
    folder.mkdir()
    for i in range(3000):
        (folder / f"{i}.jpg").symlink_to(synthetic / f"SYN-00/img1/{i % 6 + 1:06d}.jpg")
    out, drawing = tmp_path / "tracks.txt", tmp_path / "tracks.mp4"
    process = subprocess.Popen(
        command(
            *(folder, CONFIG, checkpoint, "--out", out, "--show", drawing, *EVERYTHING)
        ),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    while not (out.exists() and out.stat().st_size) and process.poll() is None:
        time.sleep(0.05)
    start = time.monotonic()
    process.send_signal(number)
    stdout, stderr = process.communicate(timeout=60)
    assert time.monotonic() - start < 30  # two seconds on an idle machine
    assert process.returncode == 130, stderr
    assert "Traceback" not in stderr
    count = int(re.search(r"(\d+) frames in", stdout)[1])
    assert 0 < count < 3000
    assert out.read_text().endswith("-1,-1,-1\n")
    assert read_results(out)[-1, 0] == count
    assert cv2.VideoCapture(str(drawing)).get(cv2.CAP_PROP_FRAME_COUNT) == count
