"""Kill trainings and tests at random moments and check that nothing is lost.

A killed and resumed training must end with the weights of an undisturbed one, bit for
bit. If one of two processes is killed, the other must end within a minute, and the pair
must resume. Killed tests must leave no result file that looks whole but is not.
"""

import argparse
import json
import os
import random
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import torch

from fairmot_mm.synthetic import make_sequence

REPOSITORY = Path(__file__).parents[2]
EPOCHS = 4
CONFIG = """
_base_ = "{configs}/fairmot_yolov5s_mot17.py"
load = dict(type="CheckedLoadImageFromFile")
letterbox = dict(type="Letterbox", size=(96, 64))
model = dict(
    backbone=dict(widen_factor=0.125),
    neck=dict(in_channels=(16, 32, 64, 128)),
    bbox_head=dict(in_channels=16, feat_channels=16),
    reid_head=dict(in_channels=16, feat_channels=16),
    tracker=dict(obj_score_thr=0.01, min_box_area=0, max_aspect_ratio=None),
)
# No augmentation: a resumed run draws other random numbers.
train_dataloader = dict(
    batch_size=2,
    num_workers=0,
    persistent_workers=False,
    dataset=dict(
        data_root="{data}",
        detector=None,
        pipeline=[load, letterbox, dict(type="PackTrackTrainInputs")],
    ),
)
test_pipeline = [
    dict(type="TransformBroadcaster", transforms=[load, letterbox]),
    {{{{_base_.pack_frames}}}},
]
test_dataloader = dict(
    num_workers=0,
    persistent_workers=False,
    dataset=dict(data_root="{data}", detector=None, pipeline=test_pipeline),
)
train_cfg = dict(max_epochs={epochs})
default_hooks = dict(logger=dict(interval=5), checkpoint=dict(max_keep_ckpts=-1))
"""


@dataclass
class Bench:
    """A tiny data set, its config, and how to run tools on them.

    Attributes:
        folder: Where everything is.
        counts: Outcomes by kind.
    """

    folder: Path
    counts: dict[str, Counter[str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for number in range(4):
            name = f"SYN-{number:02d}"
            make_sequence(
                self.folder / "data",
                name,
                num_frames=10,
                num_people=3,
                size=(96, 64),
                seed=number,
            )
        config = CONFIG.format(
            configs=REPOSITORY / "configs", data=self.folder / "data", epochs=EPOCHS
        )
        self.config = self.folder / "small.py"
        self.config.write_text(config)

    def start(self, name: str, *command: str | Path) -> subprocess.Popen:
        """Start a command in a group of its own; what it prints goes to a file."""
        environment = os.environ | dict(
            OMP_NUM_THREADS="1",
            PYTHON=sys.executable,
            PYTHONPATH=str(REPOSITORY),
            PORT=str(_free_port()),
        )
        with self.log(name).open("ab") as output:
            return subprocess.Popen(
                [str(part) for part in command],
                cwd=self.folder,
                env=environment,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

    def log(self, name: str) -> Path:
        """File of what a run printed."""
        return self.folder / f"{name}.out"

    def train(self, name: str, processes: int = 1) -> subprocess.Popen:
        """Start a training, or go on with it, in the work dir ``name``."""
        options = (self.config, "--work-dir", self.folder / name, "--resume")
        if processes == 1:
            return self.start(
                name, sys.executable, REPOSITORY / "tools/train.py", *options
            )
        script = REPOSITORY / "tools/dist_train.sh"
        return self.start(
            name, "bash", script, self.config, str(processes), *options[1:]
        )

    def test(
        self, name: str, checkpoint: Path, out: Path, processes: int = 1
    ) -> subprocess.Popen:
        """Track the data and write result files."""
        options = ("--out", out, "--work-dir", self.folder / f"{name}.w")
        if processes == 1:
            tool = REPOSITORY / "tools/test.py"
            return self.start(
                name, sys.executable, tool, self.config, checkpoint, *options
            )
        script = REPOSITORY / "tools/dist_test.sh"
        return self.start(
            name, "bash", script, self.config, checkpoint, str(processes), *options
        )

    def finish(self, name: str, processes: int = 1) -> int:
        """Train to the end; returns the exit status."""
        return self.train(name, processes).wait(timeout=600)

    def ended_as_undisturbed(self, name: str) -> bool:
        """Whether a training has the weights of the training ``whole``."""
        found, expected = weights(self.folder / name), weights(self.folder / "whole")
        return all(torch.equal(found[key], expected[key]) for key in expected)

    def count(self, kind: str, outcome: str, reason: str = "") -> None:
        """Count an outcome; a reason is printed."""
        self.counts.setdefault(kind, Counter())[outcome] += 1
        if reason:
            print(f"{kind}: {reason}", file=sys.stderr)


def main() -> None:
    """Run the experiments and print their outcomes."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=20, help="trainings to kill")
    parser.add_argument("--pairs", type=int, default=4, help="pairs and tests to kill")
    run_experiments(parser, run)


def run_experiments(
    parser: argparse.ArgumentParser,
    run: Callable[[Bench, argparse.Namespace], None],
) -> None:
    """Read the command line, run experiments on a bench, and print their outcomes."""
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, help="file for the counts, as JSON")
    args = parser.parse_args()
    random.seed(args.seed)
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(Path(folder))
        run(bench, args)
    print(json.dumps(bench.counts, indent=1))
    if args.out is not None:
        args.out.write_text(json.dumps(bench.counts, indent=1))
    sys.exit(any(count["failed"] for count in bench.counts.values()))


def run(bench: Bench, args: argparse.Namespace) -> None:
    """Kill trainings, pairs and tests."""
    kill_trainings(bench, args.count)
    kill_one_of_two(bench, args.pairs)
    kill_tests(bench, args.pairs)


def kill_trainings(bench: Bench, count: int) -> None:
    """Kill trainings, every second one while a checkpoint is being written."""
    start = time.monotonic()
    if bench.finish("whole") != 0:
        raise RuntimeError(f"the undisturbed training failed: {bench.log('whole')}")
    duration = time.monotonic() - start
    for number in range(count):
        name = f"killed_{number}"
        writing = number % 2 == 1
        kind = "killed while writing" if writing else "killed at a random moment"
        process = bench.train(name)
        if writing:
            _wait_for_checkpoint(bench.folder / name, random.randint(1, EPOCHS))
        else:
            time.sleep(random.uniform(0.4, 1) * duration)
        kill(process)
        if bench.finish(name) != 0:
            log = bench.log(name).read_text()[-2000:]
            bench.count(kind, "failed", f"{name} does not resume:\n{log}")
            continue
        if bench.ended_as_undisturbed(name):
            bench.count(kind, "bit for bit as undisturbed")
        elif re.search(r"resumed epoch: \d+", bench.log(name).read_text()):
            bench.count(kind, "says from which epoch it goes on")
        else:
            bench.count(kind, "failed", f"{name} ended with other weights")


def kill_one_of_two(bench: Bench, count: int) -> None:
    """Kill one of two processes: the other must end, and the pair resume."""
    for number in range(count):
        name = f"pair_{number}"
        process = bench.train(name, processes=2)
        _wait_for_checkpoint(bench.folder / name, random.randint(1, EPOCHS - 1))
        workers = _children(process.pid)
        os.kill(random.choice(workers), signal.SIGKILL)
        start = time.monotonic()
        try:
            code = process.wait(timeout=60)
        except subprocess.TimeoutExpired:
            kill(process)
            bench.count("one of two killed", "failed", f"{name} waits on")
            continue
        print(f"{name} ended {time.monotonic() - start:.1f} s after the kill")
        if code == 0:
            bench.count("one of two killed", "failed", f"{name} reports success")
        elif bench.finish(name, processes=2) != 0:
            bench.count("one of two killed", "failed", f"{name} does not resume")
        else:
            bench.count("one of two killed", "ended and resumed")


def kill_tests(bench: Bench, count: int) -> None:
    """Kill tests, alone and one of two: files that are there must be whole."""
    checkpoint = Path((bench.folder / "whole/last_checkpoint").read_text().strip())
    expected = bench.folder / "results"
    start = time.monotonic()
    if bench.test("results", checkpoint, expected).wait(timeout=600) != 0:
        raise RuntimeError(f"the undisturbed test failed: {bench.log('results')}")
    duration = time.monotonic() - start
    whole = _results(expected)
    if not any(whole.values()):
        raise RuntimeError("the undisturbed test found no tracks")
    for number in range(count):
        processes = 1 + number % 2
        kind = "test killed" if processes == 1 else "one of two tests killed"
        name = f"results_{number}"
        process = bench.test(name, checkpoint, bench.folder / name, processes)
        time.sleep(random.uniform(0.5, 1) * duration)
        victims = _children(process.pid) if processes > 1 else []
        if victims:
            os.kill(random.choice(victims), signal.SIGKILL)
        else:
            kill(process)
        try:
            process.wait(timeout=60)
        except subprocess.TimeoutExpired:
            kill(process)
            bench.count(kind, "failed", f"{name} waits on")
            continue
        found = _results(bench.folder / name)
        torn = [key for key, text in found.items() if text != whole[key]]
        if torn:
            bench.count(kind, "failed", f"{name} left {', '.join(torn)} torn")
        else:
            bench.count(kind, "left whole files or none")


def _results(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in folder.glob("*.txt")}


def kill(process: subprocess.Popen) -> None:
    """Kill a process and all that it started."""
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def weights(work_dir: Path) -> dict[str, torch.Tensor]:
    """Weights of the last epoch."""
    path = work_dir / f"epoch_{EPOCHS}.pth"
    return torch.load(path, map_location="cpu", weights_only=False)["state_dict"]


def _wait_for_checkpoint(work_dir: Path, number: int) -> None:
    """Return as soon as ``number`` checkpoints are there, the last hardly begun."""
    deadline = time.monotonic() + 300
    while time.monotonic() < deadline:
        if len(list(work_dir.glob("epoch_*"))) >= number:
            time.sleep(random.uniform(0, 0.02))
            return
        time.sleep(0.0005)
    raise RuntimeError(f"{work_dir} has no {number} checkpoints after five minutes")


def _children(pid: int) -> list[int]:
    """Processes that a launcher started: its grandchildren behind the shell."""
    found = [pid]
    for _ in range(4):
        next_level = [
            int(child)
            for parent in found
            for child in _read_children(parent)
            if "resource_tracker" not in _command(int(child))
        ]
        if not next_level:
            return found
        found = next_level
        if all("--local" in _command(p) or ".py" in _command(p) for p in found) and (
            len(found) > 1
        ):
            return found
    return found


def _read_children(pid: int) -> list[str]:
    path = Path(f"/proc/{pid}/task/{pid}/children")
    return path.read_text().split() if path.exists() else []


def _command(pid: int) -> str:
    path = Path(f"/proc/{pid}/cmdline")
    return path.read_text().replace("\0", " ") if path.exists() else ""


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


if __name__ == "__main__":
    main()
