"""Several processes: gradients, tools/dist_train.sh and tools/dist_test.sh."""

import copy
import math
import os
import socket
import subprocess
import sys
from datetime import timedelta

import cv2
import numpy as np
import pytest
import torch
import torch.distributed as dist
from mmdet.structures import DetDataSample
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmengine.structures import InstanceData
from test_train_and_test_tools import (
    LENGTHS,
    REPOSITORY,
    TEST,
    TIMEOUT,
    Command,
    figures,
    fork_server,
    identities,
    load_checkpoint,
    optimizer_steps,
    run_as_script,
    run_tool,
    scalars,
    write_config,
)
from torch.nn.parallel import DistributedDataParallel

from fairmot_mm.engine.runner import build_runner
from fairmot_mm.registry import MODELS

DIST_TRAIN = REPOSITORY / "tools" / "dist_train.sh"
DIST_TEST = REPOSITORY / "tools" / "dist_test.sh"
PROCESSES = 2

NUM_IDS = 7
# Identities of the objects of four images; the first process gets the first two.
BATCHES = {
    "unequal halves": ((0, 3, -1, 5, 6), (), (2,), (4, -1)),
    "no objects in one process": ((0, 3, 1), (5, -1), (), ()),
    "no identities in one process": ((-1, -1), (-1,), (2, 6), (-1, 4, 0)),
    "no identities at all": ((-1,), (-1, -1, -1), (-1,), ()),
    "no objects at all": ((), (), (), ()),
}
DETECTION = "bbox_head.heatmap_branch.2.weight"
CLASSIFIER = "reid_head.classifier.weight"


def make_batch(identities):
    """Four images of 64 x 96 with a box for each identity."""
    rng = np.random.default_rng(1)
    images = torch.from_numpy(rng.uniform(size=(len(identities), 3, 64, 96)))
    samples = []
    for ids in identities:
        centers = rng.uniform((8, 8), (88, 56), (len(ids), 2))
        sides = rng.uniform(6, 40, (len(ids), 2))
        boxes = np.concatenate((centers - sides / 2, centers + sides / 2), axis=1)
        instances = InstanceData(
            bboxes=torch.from_numpy(boxes).float(),
            labels=torch.zeros(len(ids), dtype=torch.long),
            instances_ids=torch.tensor(ids, dtype=torch.long),
        )
        samples.append(DetDataSample(gt_instances=instances))
    return images, samples


def build_model(cfg):
    """FairMOT in double precision, its normalisation frozen."""
    torch.manual_seed(0)
    cfg = copy.deepcopy(cfg)
    cfg["backbone"]["out_indices"] = (0, 1, 2, 3, 4)
    cfg["neck"].update(in_channels=(16, 32, 64, 128, 256), end_level=4)
    cfg["reid_head"]["num_ids"] = NUM_IDS
    model = MODELS.build(cfg).double().eval()
    # Behind the embedding the head works in single precision, whatever comes in.
    model.reid_head.classifier.float()
    return model


def gradients(model, wrapper, images, samples):
    model.zero_grad()
    wrapper(images, samples, mode="loss")["loss"].backward()
    return {name: weight.grad.clone() for name, weight in model.named_parameters()}


def _compare_gradients(rank, port, cfg, folder):
    """One of two; the first saves how far gradients are from the whole batch's."""
    torch.set_num_threads(1)
    init_default_scope("fairmot_mm")
    model = build_model(cfg)
    batches = {name: make_batch(identities) for name, identities in BATCHES.items()}
    # Before there is another process, hence normalised by this batch alone.
    whole = {
        name: gradients(model, model, *batch) if rank == 0 else {}
        for name, batch in batches.items()
    }

    dist.init_process_group(
        "gloo",
        init_method=f"tcp://127.0.0.1:{port}",
        rank=rank,
        world_size=PROCESSES,
        timeout=timedelta(seconds=TIMEOUT),
    )
    wrapper = DistributedDataParallel(model)
    mine = slice(2 * rank, 2 * rank + 2)
    report = {}
    for name, (images, samples) in batches.items():
        averaged = gradients(model, wrapper, images[mine], samples[mine])
        report[name] = {
            key: (
                float((averaged[key] - expected).abs().max()),
                float(expected.abs().max()),
            )
            for key, expected in whole[name].items()
        }
    dist.destroy_process_group()
    if rank == 0:
        torch.save(report, folder / "gradients.pth")


def join(rank, port):
    """Set what torchrun tells its processes."""
    os.environ |= {
        "RANK": str(rank),
        "LOCAL_RANK": str(rank),
        "WORLD_SIZE": str(PROCESSES),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
    }


def _train(rank, port, config, folder):
    """One of two that train; each saves its classifier."""
    join(rank, port)
    torch.set_num_threads(1)
    cfg = Config.fromfile(config)
    cfg.update(launcher="pytorch", work_dir=str(folder / "classifiers"))
    cfg.train_cfg.max_epochs = 1
    # What is averaged later: the processes begin with different classifiers.
    cfg.randomness = dict(seed=rank)
    runner = build_runner(cfg)
    runner.train()
    torch.save(runner.model.module.reid_head.classifier, folder / f"head_{rank}.pth")


def _track(rank, port, folder, arguments):
    """What dist_test.sh starts, without the time its imports take."""
    join(rank, port)
    run_as_script(folder / f"output_{rank}", [*arguments, "--launcher", "pytorch"])


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def start_processes(target, arguments):
    """Run ``target(rank, *arguments)`` in every process."""
    processes = [
        fork_server().Process(target=target, args=(rank, *arguments))
        for rank in range(PROCESSES)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join(TIMEOUT)
        process.kill()
        process.join()
    return [process.exitcode for process in processes]


def run_script(folder, script, *arguments):
    outcome = Command.start(
        *(folder, "bash", script, *arguments),
        PYTHON=sys.executable,
        PORT=str(free_port()),
    ).finish()
    assert outcome.code == 0, outcome.stderr
    return outcome


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("distributed")


@pytest.fixture(scope="module")
def config(folder, synthetic):
    return write_config(folder / "small.py", synthetic)


@pytest.fixture(scope="module")
def trained(folder, config):
    """One epoch in two processes."""
    work = folder / "trained"
    run_script(
        *(work / "output", DIST_TRAIN, config, PROCESSES, "--work-dir", work),
        *("--cfg-options", "train_cfg.max_epochs=1"),
    )
    return work


@pytest.fixture(scope="module")
def checkpoint(trained):
    return trained / "epoch_1.pth"


class TestGradients:
    @pytest.fixture(scope="class")
    def report(self, folder):
        cfg = dict(
            type="FairMOT",
            backbone=dict(type="DLANet"),
            neck=dict(type="DLANeck"),
            bbox_head=dict(type="FairMOTHead", in_channels=64),
            reid_head=dict(type="EmbeddingHead", in_channels=64),
        )
        codes = start_processes(_compare_gradients, (free_port(), cfg, folder))
        assert codes == [0] * PROCESSES
        return torch.load(folder / "gradients.pth")

    @pytest.mark.parametrize("batch", BATCHES)
    def test_halves_of_a_batch_average_to_the_whole(self, report, batch):
        for name, (error, largest) in report[batch].items():
            # The losses are taken in single precision.
            assert error <= 3e-6 * largest, name

    @pytest.mark.parametrize("batch", BATCHES)
    def test_there_is_something_to_average(self, report, batch):
        has_identities = any(i >= 0 for ids in BATCHES[batch] for i in ids)
        assert report[batch][DETECTION][1] > 0
        assert (report[batch][CLASSIFIER][1] > 0) == has_identities


class TestTraining:
    def test_saves_a_checkpoint(self, trained, checkpoint, synthetic):
        # Batches of two in each process, the last one filled up.
        batches = math.ceil(sum(LENGTHS.values()) / (2 * PROCESSES))
        assert [entry["step"] for entry in scalars(trained)] == [*range(1, batches + 1)]
        assert all(np.isfinite(entry["loss"]) for entry in scalars(trained))
        saved = load_checkpoint(checkpoint)
        assert optimizer_steps(saved) == {batches}
        classifier = saved["state_dict"][CLASSIFIER]
        assert len(classifier) == identities(synthetic)

    def test_classifiers_sized_by_the_data_learn_alike(self, folder, config):
        codes = start_processes(_train, (free_port(), config, folder))
        assert codes == [0] * PROCESSES
        first, second = (
            torch.load(folder / f"head_{rank}.pth", weights_only=False)
            for rank in range(PROCESSES)
        )
        assert torch.equal(first.weight, second.weight)
        assert torch.equal(first.bias, second.bias)

    @pytest.mark.parametrize("script", [DIST_TRAIN, DIST_TEST], ids=lambda x: x.name)
    def test_says_what_it_needs(self, script):
        outcome = subprocess.run(
            ["bash", script, "config.py"], capture_output=True, text=True, timeout=60
        )
        assert outcome.returncode == 2
        assert "CONFIG" in outcome.stderr
        assert "PROCESSES" in outcome.stderr


class TestTracking:
    @staticmethod
    def arguments(work, config, checkpoint, *options):
        out = work / "results"
        return config, checkpoint, "--work-dir", work, "--out", out, *options

    @pytest.fixture
    def alone(self, tmp_path, config, checkpoint):
        """Work dir of one process."""

        def run(*options):
            work = tmp_path / "alone"
            arguments = self.arguments(work, config, checkpoint, *options)
            outcome = run_tool(work / "output", TEST, *arguments)
            assert outcome.code == 0, outcome.stderr
            return work

        return run

    @staticmethod
    def check_same(alone, together, names):
        for work in (alone, together):
            files = {path.name for path in (work / "results").iterdir()}
            assert files == {f"{name}.txt" for name in names}
        for path in (alone / "results").iterdir():
            assert path.read_text()
            assert (together / "results" / path.name).read_text() == path.read_text()
        assert figures(alone).keys() >= {"mot/HOTA", "mot/MOTA", "mot/FP", "mot/FN"}
        assert figures(together) == figures(alone)

    def test_two_processes_track_like_one(self, tmp_path, alone, config, checkpoint):
        together, videos = tmp_path / "together", tmp_path / "videos"
        arguments = list(self.arguments(together, config, checkpoint))
        arguments[2:2] = [PROCESSES]
        run_script(
            *(together / "output", DIST_TEST, *arguments, "--show-dir", videos),
        )
        self.check_same(alone(), together, LENGTHS)
        for name, length in LENGTHS.items():
            capture = cv2.VideoCapture(str(videos / f"{name}.mp4"))
            assert capture.get(cv2.CAP_PROP_FRAME_COUNT) == length
            capture.release()

    def test_a_process_may_be_idle(self, tmp_path, alone, config, checkpoint):
        together = tmp_path / "together"
        options = "--cfg-options", "test_dataloader.dataset.sequences=[SYN-02]"
        arguments = self.arguments(together, config, checkpoint, *options)
        codes = start_processes(
            _track, (free_port(), together, [str(a) for a in (TEST, *arguments)])
        )
        assert codes == [0] * PROCESSES, [
            path.read_text() for path in together.glob("output_*/stderr")
        ]
        self.check_same(alone(*options), together, ["SYN-02"])
