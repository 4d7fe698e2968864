"""Fill the disk while tools write, and check that what was complete stays.

Each run writes to a file system in memory of random size, which is mounted for it
(Linux, as root). A tool must end with an error that names the file, and leave no file
that looks whole but is not; with more room, a training must go on from what there is.
"""

import argparse
import random
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2
from training_kills import EPOCHS, REPOSITORY, Bench, run_experiments

from fairmot_mm.checkpoints import read_checkpoint

# What VideoWriter keeps free, in bytes.
RESERVE = 8 << 20


def main() -> None:
    """Run the experiments and print their outcomes."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=10, help="disks of each kind")
    run_experiments(parser, run)


def run(bench: Bench, args: argparse.Namespace) -> None:
    """Fill disks with checkpoints, as many with results and with videos."""
    if bench.finish("whole") != 0:
        raise RuntimeError(f"training failed: {bench.log('whole').read_text()}")
    whole = bench.folder / "whole"
    checkpoint = whole / f"epoch_{EPOCHS}.pth"
    for number in range(args.count):
        fill_with_checkpoints(bench, f"training_{number}", size_of(whole))
    expected = bench.folder / "results"
    if bench.test("results", checkpoint, expected).wait(timeout=600) != 0:
        raise RuntimeError(f"testing failed: {bench.log('results').read_text()}")
    for number in range(args.count):
        fill_with_results(bench, f"test_{number}", checkpoint, expected)
    for number in range(args.count):
        fill_with_videos(bench, f"track_{number}", checkpoint)


def fill_with_checkpoints(bench: Bench, name: str, size: int) -> None:
    """Train on a disk that is too small, then go on with more room."""
    kind = "checkpoints"
    with disk(bench.folder / name, random.uniform(0.1, 0.9) * size) as work:
        if not told(bench, name, bench.finish(name)):
            bench.count(kind, "failed", f"{name}: {end_of_log(bench, name)}")
            return
        for path in work.glob("epoch_*.pth"):
            read_checkpoint(path)
        mount = ["mount", "-o", f"remount,size={10 * size}", str(work)]
        subprocess.run(mount, check=True)
        if bench.finish(name) != 0:
            bench.count(kind, "failed", f"{name} stops: {end_of_log(bench, name)}")
            return
        if bench.ended_as_undisturbed(name):
            bench.count(kind, "told, then resumed bit for bit")
        else:
            bench.count(kind, "failed", f"{name} ended with other weights")


def fill_with_results(bench: Bench, name: str, checkpoint: Path, whole: Path) -> None:
    """Write result files to a disk that is too small for them."""
    kind = "result files"
    # A file takes whole pages; there is one too few at least.
    needed = sum(1 + path.stat().st_size // 4096 for path in _files(whole))
    pages = random.randint(1, needed - 1)
    with disk(bench.folder / name, 4096 * pages) as folder:
        code = bench.test(name, checkpoint, folder / "results").wait(timeout=600)
        torn = [
            path.name
            for path in _files(folder / "results")
            if path.read_bytes() != (whole / path.name).read_bytes()
        ]
        if torn or not told(bench, name, code):
            text = f"{name} left {torn} torn: {end_of_log(bench, name)}"
            bench.count(kind, "failed", text)
        else:
            bench.count(kind, "told, whole files or none")


def fill_with_videos(bench: Bench, name: str, checkpoint: Path) -> None:
    """Write tracks and a drawn video to a disk that is too small for them."""
    kind = "tracks and videos"
    images = bench.folder / "data/SYN-00/img1"
    size = RESERVE + random.randint(8192, 20480)
    with disk(bench.folder / name, size) as folder:
        results, video = folder / "tracks.txt", folder / "tracks.mp4"
        tool = REPOSITORY / "tools/track_video.py"
        outputs = "--out", results, "--show", video
        command = (sys.executable, tool, images, bench.config, checkpoint, *outputs)
        code = bench.start(name, *command).wait(timeout=600)
        lines = results.read_text().splitlines(keepends=True)
        whole = all(line.endswith("-1,-1,-1\n") for line in lines)
        frames = cv2.VideoCapture(str(video)).get(cv2.CAP_PROP_FRAME_COUNT)
        if whole and frames and told(bench, name, code):
            bench.count(kind, "told, whole lines, a video that plays")
        else:
            text = f"{name}, {frames} frames of video: {end_of_log(bench, name)}"
            bench.count(kind, "failed", text)


def told(bench: Bench, name: str, code: int) -> bool:
    """Whether a run failed with an error that names a file on its disk."""
    last = end_of_log(bench, name).splitlines()[-1]
    return code != 0 and str(bench.folder / name) in last


def end_of_log(bench: Bench, name: str) -> str:
    """The last lines that a run printed."""
    return bench.log(name).read_text().strip()[-800:]


@contextmanager
def disk(folder: Path, size: float) -> Iterator[Path]:
    """A folder that holds so many bytes."""
    folder.mkdir()
    options = f"size={int(size)}"
    mount = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
    subprocess.run(mount, check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def size_of(folder: Path) -> int:
    """Bytes of all files in a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _files(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.txt"))


if __name__ == "__main__":
    main()
