"""Whole archives by Ray, on a model without a network."""

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
import torch

from fairmot_mm.apis import init_model, track_video
from fairmot_mm.formats.mot_results import read_results
from fairmot_mm.streams import VideoWriter

ray = pytest.importorskip("ray")
duckdb = pytest.importorskip("duckdb")

from fairmot_mm.archive import track_archive  # noqa: E402

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
CONFIG = f"""
_base_ = "{ROOT}/configs/fairmot_yolov5s_mot17.py"
custom_imports = dict(imports=["bright_boxes"], allow_failed_imports=False)
model = dict(
    _delete_=True,
    type="BrightBoxes",
    delay=DELAY,
    tracker=dict(type="JDETracker"),
    data_preprocessor=dict(
        type="mmdet.TrackDataPreprocessor", mean=[0, 0, 0], std=[255, 255, 255],
        bgr_to_rgb=True, pad_size_divisor=32,
    ),
)
test_dataloader = dict(dataset=dict(input_size=(192, 128)))
"""
RATE, SIZE = 25, (192, 128)
HOUR = "20261127T0{}0000Z"


def write_walks(path, frames, people=2, seed=0):
    """People who walk to and fro, each at a height and a speed of their own."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with closing(VideoWriter(path, RATE)) as writer:
        for number in range(frames):
            image = np.full((SIZE[1], SIZE[0], 3), 40, np.uint8)
            for i in range(people):
                step = (2 + i) * number + 37 * seed
                left = abs((step % 320) - 160)
                image[8 + 40 * i : 38 + 40 * i, left : left + 14] = 255
            writer.write(image)
    return path


def write_blue(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    with closing(VideoWriter(path, RATE)) as writer:
        for _ in range(10):
            writer.write(np.full((SIZE[1], SIZE[0], 3), (255, 0, 0), np.uint8))


@pytest.fixture(scope="module", autouse=True)
def path_to_model():
    paths = [str(HERE), str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join(paths))
        # Ray's workers are nice, and would wait for whatever else a machine does.
        patch.setenv("RAY_worker_niceness", "0")
        patch.syspath_prepend(str(HERE))
        yield


def write_config(folder, delay=0.0):
    path = folder / "bright.py"
    path.write_text(CONFIG.replace("DELAY", str(delay)))
    return path


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    return write_config(tmp_path_factory.mktemp("config"))


@pytest.fixture(scope="module")
def recordings(tmp_path_factory):
    """Four good videos, one of them long; one is no video, one kills its worker."""
    folder = tmp_path_factory.mktemp("recordings")
    write_walks(folder / f"door/{HOUR.format(8)}.mp4", 30)
    write_walks(folder / f"door/{HOUR.format(9)}.mp4", 20, seed=1)
    write_walks(folder / "yard/20261127T235959Z.mp4", 50, seed=2)
    write_walks(folder / "yard/long-20261127T100000Z.mp4", 400, people=3)
    (folder / "yard/broken.mp4").write_bytes(b"no video at all")
    write_blue(folder / "yard/killer.mp4")
    (folder / "notes.md").write_text("passed over")
    return folder


def processes(name, ancestor):
    """Numbers of the processes that one has started, by a part of their command."""
    listed = subprocess.run(
        ["ps", "-eo", "pid,ppid,args"], capture_output=True, text=True, check=True
    )
    rows = [line.split(maxsplit=2) for line in listed.stdout.splitlines()[1:]]
    family = {ancestor}
    while more := {int(x[0]) for x in rows if int(x[1]) in family} - family:
        family |= more
    return [int(x[0]) for x in rows if int(x[0]) in family and name in x[-1]]


@pytest.fixture(scope="module")
def archive(tmp_path_factory, recordings, config):
    """An archive in pieces of four seconds; a worker was killed on the way."""
    out = tmp_path_factory.mktemp("archive")
    seen, killed = [], []

    def look(progress):
        seen.append((progress.frames, progress.total_frames, progress.workers))
        if progress.done and not killed:
            killed.extend(processes("ray::Worker", os.getpid())[:1])
            for pid in killed:
                os.kill(pid, signal.SIGKILL)

    summary = track_archive(
        *(str(recordings), out, config),
        workers=2,
        piece=4 / 60,
        overlap=1,
        with_text=True,
        with_embeddings=True,
        on_progress=look,
    )
    assert len(killed) == 1
    return out, summary, seen


def ledger(out):
    with closing(sqlite3.connect(out / "ledger.sqlite")) as database:
        database.row_factory = sqlite3.Row
        rows = database.execute("SELECT * FROM videos").fetchall()
    return {row["name"]: dict(row) for row in rows}


def test_everything_is_done_or_named(archive):
    out, summary, seen = archive
    videos = ledger(out)
    states = {name: row["state"] for name, row in videos.items()}
    assert sorted(states.values()) == ["done"] * 4 + ["failed"] * 2
    assert "unreadable video" in videos["yard/broken.mp4"]["reason"]
    assert videos["yard/killer.mp4"]["reason"].startswith("3 workers died")
    assert summary.failures == [
        (name, videos[name]["reason"])
        for name in ("yard/broken.mp4", "yard/killer.mp4")
    ]
    assert (summary.progress.done, summary.progress.failed) == (4, 2)
    # Three of the killer, and one that was killed, perhaps while it had the killer.
    assert summary.progress.deaths in (3, 4)
    assert not summary.interrupted
    assert [videos[x]["frames"] for x in sorted(videos) if states[x] == "done"] == [
        *(30, 20, 50),
        400 + 3 * RATE,  # and what four pieces share
    ]
    assert 1 <= max(workers for *_, workers in seen) <= 2
    assert max(total for _, total, _ in seen) >= 500
    assert not (out / "pieces").exists() or not any((out / "pieces").iterdir())


def test_tracks_are_those_of_track_video(archive, recordings, config, tmp_path):
    out, *_ = archive
    model = init_model(config, device="cpu")
    texts = sorted((out / "txt").iterdir())
    assert len(texts) == 4
    for text in texts:
        name = text.stem.rpartition("-")[0]
        video = next(x for x in recordings.rglob("*.mp4") if x.name in name)
        track_video(model, video, tmp_path / "single.txt")
        rows, single = read_results(text), read_results(tmp_path / "single.txt")
        assert len(rows) == len(single)
        assert rows[:, 0].tolist() == single[:, 0].tolist()
        # The same people by other numbers, one for one.
        pairs = set(zip(rows[:, 1], same_order(rows, single), strict=True))
        assert len(pairs) == len(set(rows[:, 1])) == len(set(single[:, 1]))


def same_order(rows, single):
    """Identity in the single pass of each box, by the nearest box of the frame."""
    found = []
    for row in rows:
        frame = single[single[:, 0] == row[0]]
        distance = np.abs(frame[:, 2:6] - row[2:6]).sum(1)
        assert distance.min() < 4
        found.append(frame[distance.argmin(), 1])
    return found


def test_questions_to_the_data_set(archive):
    out, *_ = archive
    tracks = f"read_parquet('{out}/tracks/*/*/*.parquet', hive_partitioning = true)"
    rows = duckdb.sql(
        "SELECT camera, CAST(day AS VARCHAR), count(*), min(wall_clock AT TIME ZONE "
        f"'UTC') FROM {tracks} GROUP BY ALL ORDER BY ALL"
    ).fetchall()
    assert [(camera, day) for camera, day, *_ in rows] == [
        *(("door", "2026-11-27"), ("yard", "2026-11-27"), ("yard", "2026-11-28"))
    ]
    assert str(rows[0][3]) == "2026-11-27 08:00:00"
    names = duckdb.sql(f"DESCRIBE SELECT * FROM {tracks}").fetchall()
    columns = {name: kind for name, kind, *_ in names}
    assert [*columns][:6] == ["video", "frame", "time", "wall_clock", "track", "class"]
    length = f"SELECT DISTINCT len(embedding) FROM {tracks}"
    assert duckdb.sql(length).fetchall() == [(8,)]
    twice = f"SELECT video, frame, track FROM {tracks} GROUP BY ALL HAVING count(*) > 1"
    assert duckdb.sql(twice).fetchall() == []


def test_again_does_nothing(archive, recordings, config):
    out, *_ = archive
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*.parquet")}
    summary = track_archive(
        *(str(recordings), out, config),
        piece=4 / 60,
        overlap=1,
        with_text=True,
        with_embeddings=True,
    )
    assert summary.progress.frames == 0
    assert not ray.is_initialized()
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*.parquet")} == before


def test_another_network_or_option_is_refused(archive, recordings, tmp_path):
    out, *_ = archive
    other = write_config(tmp_path, delay=0.001)
    options = dict(piece=4 / 60, with_text=True, with_embeddings=True)
    with pytest.raises(ValueError, match="results of another config"):
        track_archive(str(recordings), out, other, overlap=1, **options)
    config = write_config(tmp_path)
    with pytest.raises(ValueError, match=r"results of another --overlap \(1, now 2\)"):
        track_archive(str(recordings), out, config, overlap=2, **options)


def test_missing_changed_and_new_videos_are_tracked(
    archive, recordings, config, tmp_path
):
    """In copies; two videos at once through the model."""
    folder, out = tmp_path / "recordings", tmp_path / "out"
    shutil.copytree(recordings / "door", folder / "door")
    write_walks(folder / f"door/{HOUR.format(6)}.mp4", 10)
    options = dict(workers=1, batch=2)
    track_archive(str(folder), out, config, **options)
    changed = max(ledger(out))
    kept = next(out.glob("tracks/*/*/*0600*.parquet")).stat().st_mtime_ns
    (gone,) = out.glob("tracks/*/*/*0800*.parquet")
    gone.unlink()
    write_walks(folder / f"door/{HOUR.format(7)}.mp4", 12)
    write_walks(folder / changed, 15)
    summary = track_archive(str(folder), out, config, **options)
    assert summary.progress.frames == 30 + 12 + 15
    assert next(out.glob("tracks/*/*/*0600*.parquet")).stat().st_mtime_ns == kept
    assert ledger(out)[changed]["frames"] == 15
    assert len(list(out.glob("tracks/*/*/*.parquet"))) == 4


def is_running(pid):
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def test_an_interrupted_run_goes_on(tmp_path):
    config = write_config(tmp_path, delay=0.05)
    for i in range(4):
        write_walks(tmp_path / f"recordings/{i}.mp4", 60, seed=i)
    out = tmp_path / "out"
    command = [sys.executable, ROOT / "tools/archive.py", tmp_path / "recordings"]
    torch.save({"weight": torch.zeros(1)}, tmp_path / "bright.pth")
    command += [config, tmp_path / "bright.pth", "--out", out, "--workers", "1"]
    process = subprocess.Popen(
        list(map(str, command)),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    end = time.monotonic() + 300
    while not list(out.glob("tracks/*/*/*.parquet")) and time.monotonic() < end:
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.1)
    family = processes("", process.pid)
    assert len(family) > 3  # Ray's
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does
    start = time.monotonic()
    stdout, stderr = process.communicate(timeout=120)
    assert process.returncode == 130, stdout + stderr
    assert time.monotonic() - start < 60  # two seconds on an idle machine
    assert "Traceback" not in stderr
    assert not list(out.rglob("*.partial"))
    assert not any(map(is_running, family))
    done = {path: path.stat().st_mtime_ns for path in out.rglob("*.parquet")}
    assert 1 <= len(done) < 4
    states = [row["state"] for row in ledger(out).values()]
    assert states.count("done") == len(done)
    again = subprocess.run(
        list(map(str, command)), capture_output=True, text=True, check=False
    )
    assert again.returncode == 0, again.stderr
    assert "4 of 4 videos" in again.stdout
    for path, written in done.items():
        assert path.stat().st_mtime_ns == written
    assert len(list(out.glob("tracks/*/*/*.parquet"))) == 4


def test_stopping_from_python(recordings, config, tmp_path):
    stop = threading.Event()
    stop.set()
    summary = track_archive(str(recordings), tmp_path, config, workers=1, stop=stop)
    assert summary.interrupted
    assert set(row["state"] for row in ledger(tmp_path).values()) == {"waiting"}
    assert not ray.is_initialized()
