import re
import runpy
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
    # Two seconds on an idle machine; all frames would take minutes.
    assert time.monotonic() - start < 30
    assert process.returncode == 130, stderr
    assert "Traceback" not in stderr
    count = int(re.search(r"(\d+) frames in", stdout)[1])
    assert 0 < count < 3000
    assert out.read_text().endswith("-1,-1,-1\n")
    assert read_results(out)[-1, 0] == count
    assert cv2.VideoCapture(str(drawing)).get(cv2.CAP_PROP_FRAME_COUNT) == count


def write_clip(path, images, count=6):
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), 15, (192, 128))
    for image in sorted(images.glob("*.jpg"))[:count]:
        writer.write(cv2.imread(str(image)))
    writer.release()
    return path


def test_several_sources_lines_and_a_lost_one(checkpoint, synthetic, tmp_path):
    clip = write_clip(tmp_path / "clip.mp4", synthetic / "SYN-00/img1")
    out = tmp_path / "out"
    outcome = run(
        *(f"door={synthetic}/SYN-00/img1", f"yard={clip}", "gone=http://127.0.0.1:9/"),
        *(CONFIG, checkpoint, "--out", out, "--format", "csv,txt", "--timeout", 2),
        *("--line", "door:gate=96,0,96,127", *EVERYTHING),
    )
    assert outcome.returncode == 3, outcome.stderr
    assert "door: 6 frames in" in outcome.stdout
    assert "yard: 6 frames in" in outcome.stdout
    assert "line, name gate" in outcome.stdout
    assert outcome.stderr.splitlines()[-1].startswith("error: gone: ")
    assert len(read_results(out / "door.txt"))
    assert (out / "yard.csv").read_text().startswith("stream,frame,time,")
    assert (out / "door.counts.csv").exists()


@pytest.fixture(scope="module")
def track():
    return runpy.run_path(str(ROOT / "tools/track_video.py"))


@pytest.mark.parametrize(
    ("inputs", "expected"),
    [
        ("a.mp4", (["a.mp4"], None, None)),
        ("a.mp4 b.mp4", (["a.mp4", "b.mp4"], None, None)),
        ("a.mp4 my.py w.pth", (["a.mp4"], "my.py", "w.pth")),
        ("a.mp4 0 fairmot_dla34_mot17 w", (["a.mp4", "0"], "fairmot_dla34_mot17", "w")),
        ("a.mp4 no_such w.pth", (["a.mp4"], "no_such", "w.pth")),
    ],
)
def test_sources_config_and_checkpoint_are_told_apart(track, inputs, expected):
    assert track["split_inputs"](inputs.split()) == expected


def test_sources_have_names(track):
    names = track["name_sources"](["door=rtsp://a", "0", "x/yard.mp4", "y/yard.mp4"])
    assert names == {
        "door": "rtsp://a",
        "stream2": 0,
        "yard": "x/yard.mp4",
        "stream4": "y/yard.mp4",
    }
    with pytest.raises(ValueError, match="two sources have the name a"):
        track["name_sources"](["a=1.mp4", "a=2.mp4"])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("a.mp4 b.mp4 --out o --line gate=1,2,3,4", "of which stream"),
        ("a.mp4 b.mp4 --out o --zone c:gate=1,2,3,4,5,6", "no stream c, there is a, b"),
        ("a.mp4 b.mp4 --out o --fast-resize", "for one video file"),
        ("a.mp4 --out o.txt --every 0", "every=0: give 1 or more"),
        ("a.mp4 --out o.txt --rotate soon", "soon"),
    ],
)
def test_wrong_options_of_streams(track, capsys, options, message):
    assert track["main"](options.split()) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith("error: ")
    assert message in error
