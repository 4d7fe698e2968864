r"""Measure how long training data takes to open, and how much memory it needs.

    python tools/analysis_tools/benchmark_datasets.py --images 1000000 --out data/big

Writes a synthetic JDE list of that size (and a folder like MOT17) unless it is there,
opens it, and lets forked workers read all annotations.
"""

import argparse
import multiprocessing
import pickle
import re
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from mmengine.registry import init_default_scope
from rich.progress import track

from fairmot_mm.datasets import FrameDataset, JDEFrameDataset, MOTFrameDataset
from fairmot_mm.formats.mot import MOTSequence, write_sequence_info
from fairmot_mm.utils.command_line import Parser, command

PER_FOLDER = 1000
WORKERS = 2


def make_jde_list(root: Path, images: int, boxes: int) -> None:
    """Empty image files, label files of some boxes and their list."""
    rng = np.random.default_rng(0)
    names = []
    for number in track(range(images), "Writing a list"):
        folder, name = f"{number // PER_FOLDER:05d}", f"{number:07d}"
        if number % PER_FOLDER == 0:
            (root / "images" / folder).mkdir(parents=True, exist_ok=True)
            (root / "labels_with_ids" / folder).mkdir(parents=True, exist_ok=True)
        names.append(f"images/{folder}/{name}.jpg")
        (root / names[-1]).touch()
        rows = (
            f"0 {number // 30 * boxes + i} {x:.6f} {y:.6f} {w:.6f} {h:.6f}\n"
            for i, (x, y, w, h) in enumerate(rng.uniform(0.1, 0.9, (boxes, 4)))
        )
        path = root / "labels_with_ids" / folder / f"{name}.txt"
        path.write_text("".join(rows))
    (root / "list.train").write_text("\n".join(names) + "\n")


def make_mot_folder(root: Path) -> None:
    """Seven sequences of 760 frames with 57 boxes: 5 320 frames, 303 000 lines."""
    for number in range(7):
        folder = root / f"BIG-{number:02d}-SDP"
        (folder / "img1").mkdir(parents=True, exist_ok=True)
        (folder / "gt").mkdir(exist_ok=True)
        for frame in range(1, 761):
            (folder / "img1" / f"{frame:06d}.jpg").touch()
        lines = (
            f"{frame},{i},{i * 30},{frame},{40 + i},{90 + i},1,1,{i / 60:.5f}\n"
            for i in range(1, 58)
            for frame in range(1, 761)
        )
        (folder / "gt/gt.txt").write_text("".join(lines))
        write_sequence_info(MOTSequence(folder, folder.name, 760, 30, 1920, 1080))


def private_megabytes() -> float:
    """Memory of this process that is not shared with others."""
    text = Path("/proc/self/smaps_rollup").read_text()
    return sum(map(int, re.findall(r"Private_\w+: +(\d+) kB", text))) / 1024


def read_all(dataset: FrameDataset, start: int, results: multiprocessing.Queue) -> None:
    """Read what a worker reads, except the images."""
    before = private_megabytes()
    records = dataset.records
    for index in range(start, len(dataset), WORKERS):
        boxes = slice(*records.starts[index : index + 2].tolist())
        records.paths[index], records.boxes[boxes].copy(), records.labels[boxes].copy()
        records.identities[boxes].copy(), records.ignored[boxes].copy()
    results.put(private_megabytes() - before)


def measure(name: str, build: Callable[[], FrameDataset]) -> None:
    """Open a dataset and read it in workers."""
    start = time.perf_counter()
    dataset = build()
    seconds = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    context = multiprocessing.get_context("fork")
    results = context.Queue()
    workers = [
        context.Process(target=read_all, args=(dataset, i, results))
        for i in range(WORKERS)
    ]
    for worker in workers:
        worker.start()
    growth = max(results.get() for _ in workers)
    for worker in workers:
        worker.join()
    size = len(pickle.dumps(dataset.records)) / 2**20
    print(
        f"{name}: {len(dataset)} images, {len(dataset.records.boxes)} boxes: opened in "
        f"{seconds:.1f} s, peak memory {peak:.0f} MB, annotations "
        f"{size:.0f} MB, private to a worker that read them all {growth:.0f} MB"
    )


def make_parser() -> Parser:
    """Describe the command line."""
    parser = Parser(__doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder for the data")
    parser.add_argument("--images", type=int, default=1_000_000)
    parser.add_argument("--boxes", type=int, default=8, help="boxes of an image")
    return parser


@command(make_parser)
def main(args: argparse.Namespace) -> None:
    """Make the data up and measure."""
    init_default_scope("fairmot_mm")
    mot, jde = args.out / "mot", args.out / f"jde_{args.images}x{args.boxes}"
    if not mot.is_dir():
        make_mot_folder(mot)
    if not (jde / "list.train").is_file():
        make_jde_list(jde, args.images, args.boxes)
    measure("MOT folders", lambda: MOTFrameDataset(str(mot)))
    measure("JDE list", lambda: JDEFrameDataset("list.train", str(jde)))


if __name__ == "__main__":
    sys.exit(main())
