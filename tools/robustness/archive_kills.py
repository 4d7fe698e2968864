"""Archives whose workers are killed at random, and how fast more workers are.

    python tools/robustness/archive_kills.py                  # 500 videos, 10 kills
    python tools/robustness/archive_kills.py --speed          # one worker, then two
    python tools/robustness/archive_kills.py --second-node    # a machine that joins

The first makes short videos, breaks some, tracks them by `fairmot archive` on two
workers and kills workers meanwhile. Fails unless every good video has its results once,
the broken ones are named, and memory is flat. The others need a machine that does
nothing else.
"""

from __future__ import annotations

import argparse
import os
import random
import secrets
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from fairmot_mm.utils.command_line import Parser, command, running

if TYPE_CHECKING:
    from fairmot_mm.archive import Progress

REPOSITORY = Path(__file__).parents[2]
CONFIG = f"""
_base_ = "{REPOSITORY}/configs/fairmot_yolov5s_mot17.py"
model = dict(
    backbone=dict(widen_factor=0.125),
    neck=dict(in_channels=(16, 32, 64, 128)),
    bbox_head=dict(in_channels=16, feat_channels=16),
    reid_head=dict(in_channels=16, feat_channels=16, num_ids=4),
    tracker=dict(obj_score_thr=0.01, min_box_area=0, max_aspect_ratio=None),
)
test_dataloader = dict(dataset=dict(input_size=(96, 64)))
"""
SIZE, RATE, SCENES = (192, 128), 15, 8
FLAT = 1.15  # greatest growth of memory from a quarter of the run to its end


def make_parser() -> Parser:
    """Describe the command line."""
    parser = Parser(__doc__)
    add = parser.add_argument
    add("--videos", type=int, help="default: 500, for speeds 60")
    add("--frames", type=int, default=30, help="of each video; default 30")
    add("--broken", type=int, default=5)
    add("--kills", type=int, default=10)
    add("--seed", type=int, default=0)
    which = parser.add_mutually_exclusive_group()
    text = "frames a second of one and of two workers, with the package's own weights"
    which.add_argument("--speed", action="store_true", help=text)
    text = "frames a second before and after a second Ray node of one core has joined"
    which.add_argument("--second-node", action="store_true", help=text)
    return parser


def make_videos(folder: Path, count: int, frames: int) -> list[Path]:
    """Videos of some rendered scenes, each under many names."""
    from fairmot_mm.formats.images import read_image
    from fairmot_mm.streams import VideoWriter
    from fairmot_mm.synthetic import make_sequence

    scenes = []
    for number in range(min(SCENES, count)):
        with tempfile.TemporaryDirectory() as temporary:
            sequence = make_sequence(
                Path(temporary),
                "SYN",
                num_frames=frames,
                num_people=4,
                size=SIZE,
                seed=number,
            )
            path = Path(temporary, "scene.mp4")
            with closing(VideoWriter(path, RATE)) as writer:
                for image in sorted((sequence / "img1").iterdir()):
                    writer.write(read_image(image))
            scenes.append(path.read_bytes())
    paths = []
    for number in range(count):
        camera, minute = f"camera{number % 5}", number // 5
        name = f"20261127T{minute // 60:02d}{minute % 60:02d}00Z.mp4"
        path = folder / camera / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(scenes[number % len(scenes)])
        paths.append(path)
    return paths


def break_videos(paths: list[Path], count: int, rng: random.Random) -> list[Path]:
    """Break some, in turn: nothing, noise, text, cut short, zeros over its index."""
    broken = rng.sample(paths, count)
    for number, path in enumerate(broken):
        content = path.read_bytes()
        kinds = (
            b"",
            rng.randbytes(len(content)),
            b"no video, but text\n" * 100,
            content[: len(content) // 3],
            content[:40] + bytes(len(content) - 40),
        )
        path.write_bytes(kinds[number % len(kinds)])
    return broken


def write_model(folder: Path) -> tuple[Path, Path]:
    """Config and checkpoint of a tiny network with random weights."""
    import torch
    from mmengine.config import Config
    from mmengine.registry import init_default_scope

    from fairmot_mm.registry import MODELS

    config, checkpoint = folder / "tiny.py", folder / "tiny.pth"
    config.write_text(CONFIG)
    init_default_scope("fairmot_mm")
    torch.manual_seed(0)
    model = MODELS.build(Config.fromfile(config).model)
    torch.save(model.state_dict(), checkpoint)
    return config, checkpoint


def descendants(process: int) -> Iterator[tuple[int, str, float]]:
    """Number, command line and megabytes of the processes that one has started."""
    parents, about = {}, {}
    for path in Path("/proc").glob("[0-9]*"):
        try:
            number = int(path.name)
            parents[number] = int(
                (path / "stat").read_text().rpartition(")")[2].split()[1]
            )
            line = (path / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            pages = int((path / "statm").read_text().split()[1])
        except (OSError, ValueError, UnicodeDecodeError):
            continue  # it has just ended
        about[number] = line.strip(), pages * os.sysconf("SC_PAGE_SIZE") / 2**20
    family = {process}
    while more := {x for x, parent in parents.items() if parent in family} - family:
        family |= more
    for number in family & set(about):
        yield number, *about[number]


def kill_workers(args: argparse.Namespace, folder: Path) -> None:
    """Track an archive while workers are killed, and check what came out."""
    rng, count = random.Random(args.seed), args.videos or 500
    source, out = folder / "recordings", folder / "out"
    paths = make_videos(source, count, args.frames)
    broken = break_videos(paths, args.broken, rng)
    config, checkpoint = write_model(folder)
    print(f"{count} videos, {len(broken)} of them broken", flush=True)
    arguments = (source, config, checkpoint, "--out", out, "--workers", 2)
    tool = REPOSITORY / "tools/archive.py"
    start = time.monotonic()
    process = subprocess.Popen(
        [sys.executable, *map(str, (tool, *arguments))],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    memory: list[tuple[int, float]] = []
    kills, due = 0, sorted(rng.sample(range(count // 10, count * 9 // 10), args.kills))
    while process.poll() is None:
        done = len(list(out.glob("tracks/*/*/*.parquet")))
        family = list(descendants(process.pid))
        workers = [(x, size) for x, line, size in family if "ray::Worker" in line]
        driver = next((size for x, _, size in family if x == process.pid), 0.0)
        if driver:
            memory.append((done, driver))
        if kills < len(due) and done >= due[kills] and workers:
            victim, size = rng.choice(workers)
            os.kill(victim, signal.SIGKILL)
            kills += 1
            print(
                f"{done} done: killed worker {victim} of {size:.0f} MB, driver has "
                f"{driver:.0f} MB",
                flush=True,
            )
        time.sleep(0.3)
    stdout, stderr = process.communicate()
    print(stdout.strip(), stderr.strip(), sep="\n")
    seconds = time.monotonic() - start
    check_archive(out, source, paths, broken, process.returncode)
    if kills < args.kills:
        raise RuntimeError(f"only {kills} of {args.kills} kills: give more --videos")
    quarter = [size for done, size in memory if done >= count // 4]
    if quarter and quarter[-1] > FLAT * quarter[0]:
        raise RuntimeError(f"memory grew from {quarter[0]:.0f} to {quarter[-1]:.0f} MB")
    again = subprocess.run(
        [sys.executable, *map(str, (tool, *arguments))],
        capture_output=True,
        text=True,
        check=False,
    )
    if " 0 frames" not in again.stdout:
        raise RuntimeError(f"a second run did something: {again.stdout}")
    print(
        f"{count} videos in {seconds:.0f} s, {kills} kills, nothing lost or twice, "
        f"driver {quarter[0]:.0f} to {quarter[-1]:.0f} MB; a second run did nothing"
    )


def check_archive(
    out: Path, source: Path, paths: list[Path], broken: list[Path], status: int
) -> None:
    """Compare results and ledger with what was there.

    Raises:
        RuntimeError: Something is missing, there twice, or has the wrong state.
    """
    import duckdb

    with closing(sqlite3.connect(out / "ledger.sqlite")) as database:
        rows = database.execute("SELECT name, state, reason, frames FROM videos")
        states = {name: (state, reason) for name, state, reason, _ in rows.fetchall()}
    for path in paths:
        name = path.relative_to(source).as_posix()
        expected = "failed" if path in broken else "done"
        if states.pop(name, ("missing", None))[0] != expected:
            raise RuntimeError(f"{name} should be {expected}")
    if states:
        raise RuntimeError(f"the ledger has more: {', '.join(states)}")
    good = len(paths) - len(broken)
    files = [*out.glob("tracks/*/*/*")]
    if len(files) != good:
        raise RuntimeError(f"{len(files)} result files of {good} videos")
    tracks = f"read_parquet('{out}/tracks/*/*/*.parquet')"
    twice = duckdb.execute(
        f"SELECT video FROM {tracks} GROUP BY video, frame, track HAVING count(*) > 1"
    ).fetchall()
    if twice:
        raise RuntimeError(f"boxes twice, of {twice[:3]}")
    if left := [*out.rglob("*.partial"), *out.glob("pieces/*")]:
        raise RuntimeError(f"left over: {left}")
    if status != 3:
        raise RuntimeError(f"exit status {status}, expected 3 for the broken ones")


class Speed:
    """Frames a second, by counts over time."""

    def __init__(self) -> None:
        self.counts: list[tuple[float, int, int]] = []

    def __call__(self, progress: Progress) -> None:
        """Note how far it is."""
        self.counts.append((time.monotonic(), progress.frames, progress.workers))

    def of(self, workers: int) -> float:
        """While so many had loaded the network."""
        chosen = [(moment, frames) for moment, frames, x in self.counts if x == workers]
        if len(chosen) < 2:
            raise RuntimeError(f"never {workers} workers: give more --videos")
        (begin, first), (end, last) = chosen[0], chosen[-1]
        return (last - first) / (end - begin)


def time_workers(args: argparse.Namespace, folder: Path) -> None:
    """One worker, then two, one thread each."""
    from fairmot_mm.archive import track_archive

    make_videos(folder / "recordings", args.videos or 60, args.frames)
    rates = []
    for workers in (1, 2):
        speed, out = Speed(), folder / f"out{workers}"
        track_archive(
            str(folder / "recordings"), out, workers=workers, on_progress=speed
        )
        rates.append(speed.of(workers))
        print(f"{workers} workers: {rates[-1]:.2f} frames a second", flush=True)
    print(f"ratio {rates[1] / rates[0]:.2f}")


def add_node(args: argparse.Namespace, folder: Path) -> None:
    """A cluster of one core, which another one joins in mid-run."""
    from fairmot_mm.archive import track_archive

    # A token of this cluster's own, which nobody else has.
    os.environ |= dict(RAY_AUTH_MODE="token", RAY_AUTH_TOKEN=secrets.token_hex(32))
    count = args.videos or 60
    make_videos(folder / "recordings", count, args.frames)
    port, speed = free_port(), Speed()
    address = f"127.0.0.1:{port}"
    options = ("--head", f"--port={port}", "--include-dashboard=false")
    head = start_node(folder / "head", *options)
    nodes, half = [head], count * args.frames // 3
    joining = threading.Event()

    def watch(progress: Progress) -> None:
        speed(progress)
        if progress.frames > half and not joining.is_set():
            joining.set()
            nodes.append(start_node(folder / "other", f"--address={address}"))

    try:
        track_archive(
            str(folder / "recordings"),
            folder / "out",
            ray_address=address,
            on_progress=watch,
        )
    finally:
        for node in reversed(nodes):
            node.terminate()
        for node in nodes:
            node.wait()
    rates = [speed.of(workers) for workers in (1, 2)]
    print(f"one node: {rates[0]:.2f} frames a second, two: {rates[1]:.2f}")
    print(f"ratio {rates[1] / rates[0]:.2f}")


def start_node(folder: Path, *options: str) -> subprocess.Popen:
    """A Ray node of one core on the loopback device, with files of its own."""
    folder.mkdir()
    program = Path(sys.executable).with_name("ray")
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [
                *(str(program), "start", *options, "--num-cpus=1", "--block"),
                *("--node-ip-address=127.0.0.1", "--object-store-memory=200000000"),
                *("--disable-usage-stats", f"--temp-dir={folder}"),
            ],
            stdout=log,
            stderr=log,
            env=os.environ | dict(OMP_NUM_THREADS="1", RAY_USAGE_STATS_ENABLED="0"),
        )
    wait_for(folder, process)
    return process


def wait_for(folder: Path, process: subprocess.Popen) -> None:
    """Wait until a node has started."""
    end = time.monotonic() + 120
    while "Ray runtime started" not in (folder / "log").read_text(errors="replace"):
        if process.poll() is not None or time.monotonic() > end:
            text = (folder / "log").read_text(errors="replace")
            raise RuntimeError(f"ray start failed: {text}")
        time.sleep(0.2)


def free_port() -> int:
    """A port that nobody listens at."""
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        return server.getsockname()[1]


@command(make_parser)
def main(args: argparse.Namespace) -> None:
    """Make the videos, run and check."""
    # Short, as the names of Ray's sockets may have 107 characters.
    with running(), tempfile.TemporaryDirectory(prefix="ak-") as folder:
        if args.speed:
            time_workers(args, Path(folder))
        elif args.second_node:
            add_node(args, Path(folder))
        else:
            kill_workers(args, Path(folder))


if __name__ == "__main__":
    sys.exit(main())
