"""tools/train.py and tools/test.py as a user runs them, on a network cut short."""

import json
import multiprocessing
import os
import re
import runpy
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

REPOSITORY = Path(__file__).parents[2]
TRAIN = REPOSITORY / "tools" / "train.py"
TEST = REPOSITORY / "tools" / "test.py"
LENGTHS = {"SYN-00": 6, "SYN-01": 5, "SYN-02": 4}
ITERATIONS = sum(LENGTHS.values()) // 2  # an epoch; the config drops the odd frame
FIGURES = ("HOTA", "MOTA", "IDF1", "IDSW", "FP", "FN", "MT", "ML")
TIMEOUT = 240  # seconds; for machines busy with other things

# Without random augmentation, so that two runs can be compared. The network lacks its
# deepest level, which holds four fifths of the parameters.
CONFIG = """
_base_ = {base!r}
load = [
    dict(type='CheckedLoadImageFromFile'),
    dict(type='Letterbox', size=(96, 64)),
]
train_dataloader = dict(
    batch_size=2,
    num_workers=0,
    persistent_workers=False,
    dataset=dict(
        data_root={data!r}, pipeline=[*load, dict(type='PackTrackTrainInputs')]))
test_dataloader = dict(
    num_workers=0,
    persistent_workers=False,
    dataset=dict(
        data_root={data!r},
        pipeline=[
            dict(type='TransformBroadcaster', transforms=load),
            {{{{_base_.pack_frames}}}},
        ]))
model = dict(
    backbone=dict(out_indices=(0, 1, 2, 3, 4)),
    neck=dict(in_channels=(16, 32, 64, 128, 256), end_level=4),
    tracker=dict(obj_score_thr=0.05, min_box_area=0))
train_cfg = dict(max_epochs=2)
default_hooks = dict(logger=dict(interval=1))
"""
PLAIN_RUNNER = """
import sys
from mmengine.config import Config
from mmengine.runner import Runner

cfg = Config.fromfile(sys.argv[1])
cfg.work_dir = sys.argv[3]
cfg.train_dataloader.batch_size = 15
cfg.train_cfg.max_epochs = 1
Runner.from_cfg(cfg).train()
"""


@dataclass(frozen=True)
class Outcome:
    """What a process left behind."""

    code: int
    stdout: str
    stderr: str


@dataclass(frozen=True)
class Command:
    """A process of its own session, so that what it starts ends with it."""

    process: subprocess.Popen
    folder: Path

    @classmethod
    def start(cls, folder, *arguments, **environment):
        folder.mkdir(parents=True, exist_ok=True)
        with (
            (folder / "stdout").open("w") as stdout,
            (folder / "stderr").open("w") as stderr,
        ):
            process = subprocess.Popen(
                [str(argument) for argument in arguments],
                stdout=stdout,
                stderr=stderr,
                start_new_session=True,
                env=os.environ | {"OMP_NUM_THREADS": "1"} | environment,
            )
        return cls(process, folder)

    def kill(self):
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def finish(self):
        try:
            self.process.wait(TIMEOUT)
        finally:
            self.kill()
        return Outcome(self.process.returncode, *read_output(self.folder))


def read_output(folder):
    return (folder / "stdout").read_text(), (folder / "stderr").read_text()


def fork_server():
    """Starts processes that need not import the toolboxes again."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["fairmot_mm.apis", "trackeval", "motmetrics"])
    return context


def run_as_script(folder, arguments):
    """Become a tool's process whose output goes to files."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, name in ((1, "stdout"), (2, "stderr")):
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
        os.dup2(os.open(folder / name, flags), number)
    torch.set_num_threads(1)
    sys.argv = arguments
    sys.path.insert(0, str(Path(arguments[0]).parent))
    runpy.run_path(arguments[0], run_name="__main__")


def run_tool(folder, *arguments):
    """Run a Python tool in a forked process and wait for it."""
    process = fork_server().Process(
        target=run_as_script, args=(folder, [str(argument) for argument in arguments])
    )
    process.start()
    process.join(TIMEOUT)
    if process.is_alive():
        process.kill()
        process.join()
    return Outcome(process.exitcode, *read_output(folder))


def write_config(path, data):
    base = REPOSITORY / "configs" / "fairmot_dla34_demo.py"
    path.write_text(CONFIG.format(base=str(base), data=str(data)))
    return path


def identities(data):
    """Number of people the training data annotates."""
    people = set()
    for path in data.glob("*/gt/gt.txt"):
        for line in path.read_text().split():
            cells = line.split(",")
            if cells[6:8] == ["1", "1"]:
                people.add((path, cells[1]))
    return len(people)


def scalars(work):
    """The training log, one dict per iteration."""
    (path,) = work.glob("*/vis_data/scalars.json")
    return [json.loads(line) for line in path.read_text().splitlines()]


def figures(work):
    """What test.py wrote as figures, without its timings."""
    (path,) = work.glob("*/*.json")
    found = json.loads(path.read_text())
    return {key: value for key, value in found.items() if key.startswith("mot/")}


def load_checkpoint(path):
    return torch.load(path, map_location="cpu", weights_only=False)


def optimizer_steps(checkpoint):
    """Numbers of updates that the parameters have seen."""
    return {int(state["step"]) for state in checkpoint["optimizer"]["state"].values()}


def edited_copy(data, folder, lines):
    """A copy of the data with other ground truth in its second sequence."""
    shutil.copytree(data, folder)
    path = folder / "SYN-01" / "gt" / "gt.txt"
    path.write_text("".join(f"{line}\n" for line in lines))
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("tools")


@pytest.fixture(scope="module")
def config(folder, synthetic):
    return write_config(folder / "small.py", synthetic)


@pytest.fixture(scope="module")
def started(folder, config):
    """Two equal trainings side by side: one may finish, the other is to be killed."""
    commands = [
        Command.start(
            folder / name / "output",
            *(sys.executable, TRAIN, config, "--work-dir", folder / name),
        )
        for name in ("trained", "killed")
    ]
    yield commands
    for command in commands:
        command.kill()


@pytest.fixture(scope="module")
def killed(folder, started):
    """Killed within the second epoch."""
    command, work = started[1], folder / "killed"
    deadline = time.monotonic() + TIMEOUT
    while not (
        (work / "last_checkpoint").is_file()
        and "Epoch(train) [2][1/" in read_output(command.folder)[0]
    ):
        assert command.process.poll() is None, read_output(command.folder)
        assert time.monotonic() < deadline, read_output(command.folder)
        time.sleep(0.02)
    command.kill()
    return work


@pytest.fixture(scope="module")
def trained(folder, started, killed):
    outcome = started[0].finish()
    assert outcome.code == 0, outcome.stderr
    return folder / "trained"


@pytest.fixture(scope="module")
def checkpoint(trained):
    return trained / "epoch_2.pth"


@pytest.fixture(scope="module")
def tracked(folder, config, checkpoint):
    work = folder / "tracked"
    outcome = Command.start(
        work / "output",
        *(sys.executable, TEST, config, checkpoint, "--work-dir", work),
        *("--out", work / "results", "--show-dir", work / "videos"),
    ).finish()
    assert outcome.code == 0, outcome.stderr
    return work


class TestTraining:
    def test_a_checkpoint_per_epoch(self, trained):
        assert (trained / "last_checkpoint").read_text().endswith("epoch_2.pth")
        for epoch in (1, 2):
            saved = load_checkpoint(trained / f"epoch_{epoch}.pth")
            assert saved["meta"]["epoch"] == epoch
            assert optimizer_steps(saved) == {epoch * ITERATIONS}

    def test_finite_losses_that_fall(self, trained):
        log = scalars(trained)
        assert [entry["step"] for entry in log] == list(range(1, 2 * ITERATIONS + 1))
        for name in ("loss", "heatmap", "size", "offset", "id"):
            assert np.isfinite([entry[name] for entry in log]).all()
        assert log[-1]["loss"] < log[0]["loss"]

    def test_number_of_identities_comes_from_the_data(self, checkpoint, synthetic):
        expected = identities(synthetic)
        assert expected >= 12
        classifier = load_checkpoint(checkpoint)["state_dict"][
            "reid_head.classifier.weight"
        ]
        assert classifier.shape == (expected, 128)

    def test_resumed_after_a_kill_it_ends_as_if_never_killed(
        self, killed, config, checkpoint
    ):
        assert (killed / "last_checkpoint").read_text().endswith("epoch_1.pth")
        assert not (killed / "epoch_2.pth").exists()

        output = killed / "resumed"
        outcome = run_tool(output, TRAIN, config, "--work-dir", killed, "--resume")
        assert outcome.code == 0, outcome.stderr
        epochs = re.findall(r"Epoch\(train\) \[(\d+)\]\[(\d+)/", outcome.stdout)
        assert epochs == [("2", str(i)) for i in range(1, ITERATIONS + 1)]

        resumed = load_checkpoint(killed / "epoch_2.pth")
        assert optimizer_steps(resumed) == {2 * ITERATIONS}
        uninterrupted = load_checkpoint(checkpoint)["state_dict"]
        assert resumed["state_dict"].keys() == uninterrupted.keys()
        for name, value in resumed["state_dict"].items():
            torch.testing.assert_close(
                value, uninterrupted[name], rtol=1e-3, atol=1e-5, msg=name
            )

    def test_mixed_precision(self, trained, config, tmp_path):
        outcome = run_tool(
            *(tmp_path, TRAIN, config, "--work-dir", tmp_path, "--amp"),
            *("--cfg-options", "train_cfg.max_epochs=1"),
        )
        assert outcome.code == 0, outcome.stderr
        first, reference = scalars(tmp_path)[0], scalars(trained)[0]
        # Half precision did take part, and does not change what is computed.
        assert first["heatmap"] != reference["heatmap"]
        for name in ("loss", "heatmap", "size", "offset", "id"):
            assert first[name] == pytest.approx(reference[name], rel=0.1)
        assert np.isfinite([entry["loss"] for entry in scalars(tmp_path)]).all()
        weights = load_checkpoint(tmp_path / "epoch_1.pth")["state_dict"]
        assert weights["bbox_head.size_branch.0.weight"].dtype == torch.float32

    @pytest.mark.parametrize("way", ["runner of MMEngine", "tool of MMDetection"])
    def test_the_toolboxes_train_by_themselves(self, config, tmp_path, synthetic, way):
        """Nothing but the config names the plugin."""
        if way == "runner of MMEngine":
            arguments = ["-c", PLAIN_RUNNER, config, "--work-dir", tmp_path]
        else:
            tool = Path(find_spec("mmdet").origin).parent / ".mim/tools/train.py"
            if not tool.is_file():
                pytest.skip("MMDetection was installed without its tools")
            options = ("train_dataloader.batch_size=15", "train_cfg.max_epochs=1")
            arguments = [tool, config, "--work-dir", tmp_path, "--cfg-options"]
            arguments += options
        outcome = Command.start(tmp_path, sys.executable, *arguments).finish()
        assert outcome.code == 0, outcome.stderr
        (entry,) = scalars(tmp_path)
        assert np.isfinite(entry["loss"])
        saved = load_checkpoint(tmp_path / "epoch_1.pth")
        assert optimizer_steps(saved) == {1}
        bias = saved["state_dict"]["reid_head.classifier.bias"]
        assert len(bias) == identities(synthetic)


class TestTracking:
    def test_figures(self, tracked, synthetic):
        found = figures(tracked)
        for name in FIGURES:
            assert found[f"mot/{name}"] is not None, name
            assert np.isfinite(found[f"mot/{name}"]), name
        boxes = sum(
            line.split(",")[6:8] == ["1", "1"]
            for path in synthetic.glob("*/gt/gt.txt")
            for line in path.read_text().split()
        )
        wrong = found["mot/FP"] + found["mot/FN"] + found["mot/IDSW"]
        assert found["mot/MOTA"] == pytest.approx(1 - wrong / boxes)
        assert 0 <= found["mot/HOTA"] <= 1
        assert 0 <= found["mot/MT"] + found["mot/ML"] <= identities(synthetic)

    def test_figures_are_in_the_log(self, tracked):
        log, _ = read_output(tracked / "output")
        (header,) = set(re.findall(r"^\| Sequence \|.*HOTA.*$", log, re.MULTILINE))
        assert {cell.strip() for cell in header.split("|")} >= set(FIGURES)
        for name in (*LENGTHS, "COMBINED"):
            assert re.search(rf"^\| {name} ", log, re.MULTILINE)

    def test_a_result_file_per_sequence(self, tracked):
        files = {path.name: path for path in (tracked / "results").iterdir()}
        assert set(files) == {f"{name}.txt" for name in LENGTHS}
        for name, length in LENGTHS.items():
            rows = np.loadtxt(files[f"{name}.txt"], delimiter=",", ndmin=2)
            assert rows.shape[1] == 10
            assert len(rows) > 0
            frames, ids, boxes, scores = np.split(rows[:, :7], (1, 2, 6), axis=1)
            assert set(frames.ravel()) <= set(range(1, length + 1))
            assert len(np.unique(rows[:, :2], axis=0)) == len(rows)
            assert (ids >= 1).all()
            assert np.isfinite(boxes).all()
            assert (boxes[:, 2:] > 0).all()
            assert ((scores > 0.05) & (scores <= 1)).all()
            assert (rows[:, 7:] == -1).all()

    def test_videos_and_their_frames(self, tracked):
        videos = tracked / "videos"
        assert {path.stem for path in videos.glob("*.mp4")} == set(LENGTHS)
        for name, length in LENGTHS.items():
            capture = cv2.VideoCapture(str(videos / f"{name}.mp4"))
            shapes = []
            while (image := capture.read()[1]) is not None:
                shapes.append(image.shape)
            capture.release()
            assert shapes == [(128, 192, 3)] * length
            frames = [f"{i:06d}.jpg" for i in range(1, length + 1)]
            assert sorted(path.name for path in (videos / name).iterdir()) == frames

    def test_format_only_writes_files_and_no_figures(
        self, tracked, config, checkpoint, tmp_path
    ):
        outcome = run_tool(
            *(tmp_path, TEST, config, checkpoint),
            *("--work-dir", tmp_path, "--format-only"),
        )
        assert outcome.code == 0, outcome.stderr
        for path in (tracked / "results").iterdir():
            assert (tmp_path / "results" / path.name).read_text() == path.read_text()
        assert "HOTA" not in outcome.stdout
        assert not any("mot/" in path.read_text() for path in tmp_path.glob("*/*.json"))


class TestErrors:
    @staticmethod
    def check(outcome, *messages):
        assert outcome.code not in (0, None)
        last = outcome.stderr.strip().splitlines()[-1]
        for message in messages:
            assert str(message) in last

    def train(self, config, tmp_path, data):
        return run_tool(
            *(tmp_path, TRAIN, config, "--work-dir", tmp_path),
            *("--cfg-options", f"train_dataloader.dataset.data_root={data}"),
        )

    def test_training_folder_is_missing(self, config, tmp_path):
        missing = tmp_path / "nowhere"
        self.check(self.train(config, tmp_path, missing), missing)

    def test_malformed_ground_truth(self, config, synthetic, tmp_path):
        lines = (synthetic / "SYN-01" / "gt" / "gt.txt").read_text().split()
        lines[2] = "1,three,10,10,20,40,1,1,1"
        path = edited_copy(synthetic, tmp_path / "data", lines)
        outcome = self.train(config, tmp_path, tmp_path / "data")
        self.check(outcome, f"{path}:3: ", "three")

    def test_empty_ground_truth(self, config, synthetic, tmp_path):
        path = edited_copy(synthetic, tmp_path / "data", [])
        self.check(self.train(config, tmp_path, tmp_path / "data"), path, "empty")

    def test_checkpoint_is_missing(self, config, tmp_path):
        missing = tmp_path / "epoch_9.pth"
        outcome = run_tool(
            tmp_path, TEST, config, missing, "--work-dir", tmp_path / "work"
        )
        self.check(outcome, missing)

    def test_checkpoint_of_another_architecture(self, config, tmp_path):
        path = tmp_path / "other.pth"
        torch.save({"state_dict": {"conv1.weight": torch.zeros(64, 3, 7, 7)}}, path)
        outcome = run_tool(
            tmp_path, TEST, config, path, "--work-dir", tmp_path / "work"
        )
        self.check(outcome, path, "another architecture", "conv1.weight")

    def test_checkpoint_of_a_smaller_network(self, config, checkpoint, tmp_path):
        outcome = run_tool(
            *(tmp_path, TEST, config, checkpoint, "--work-dir", tmp_path / "work"),
            *("--cfg-options", "model.bbox_head.feat_channels=64"),
        )
        self.check(outcome, checkpoint, "does not fit", "bbox_head.heatmap_branch")

    def test_checkpoint_is_no_checkpoint(self, config, tmp_path):
        path = tmp_path / "text.pth"
        path.write_text("not a checkpoint")
        outcome = run_tool(
            tmp_path, TEST, config, path, "--work-dir", tmp_path / "work"
        )
        self.check(outcome, path)
