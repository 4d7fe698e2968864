"""Validation while training: what it finds, and that the training is the same."""

import copy
import json
import multiprocessing
import os
import shutil
import socket
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.runner import Runner
from torch import Tensor

from fairmot_mm.checkpoints import read_checkpoint
from fairmot_mm.engine.runner import build_runner
from fairmot_mm.evaluation import MOTMetric
from fairmot_mm.models import FairMOT
from fairmot_mm.registry import HOOKS

EMA = dict(type="EMAHook", ema_type="mmdet.ExpMomentumEMA", momentum=0.1, gamma=1)


def without_validation(config: Config) -> Config:
    config = copy.deepcopy(config)
    for key in ("val_dataloader", "val_evaluator", "val_cfg"):
        config.pop(key)
    config.default_hooks.checkpoint.save_best = None
    config.work_dir += "/without"
    config.experiment_name += "_without"
    return config


def figures(config: Config) -> list[dict[str, float]]:
    """Figures of each validation, as the log folder has them."""
    (path,) = Path(config.work_dir).glob("*/vis_data/scalars.json")
    entries = [json.loads(line) for line in path.read_text().splitlines()]
    return [entry for entry in entries if "lr" not in entry]


def log_of(config: Config) -> str:
    (path,) = Path(config.work_dir).glob("*/*.log")
    return path.read_text()


def trained(config: Config) -> tuple[Runner, dict[str, Tensor], Tensor]:
    """Train; also the weights and the random numbers that come next."""
    runner = Runner.from_cfg(config)
    runner.train()
    return runner, runner.model.state_dict(), torch.rand(5)


def iterations(config: Config) -> None:
    """Train three iterations, each followed by a validation."""
    config.train_cfg = dict(type="FairMOTIterTrainLoop", max_iters=3, val_interval=1)
    config.default_hooks.checkpoint.update(by_epoch=False, interval=1)
    config.default_hooks.logger.log_metric_by_epoch = False
    config.log_processor = dict(by_epoch=False)


@pytest.mark.parametrize("unit", ["epochs", "iterations"])
def test_the_training_is_the_same(validated, unit):
    if unit == "iterations":
        iterations(validated)
        validated.custom_hooks = [EMA]
    runner, weights, numbers = trained(validated)
    _, expected, expected_numbers = trained(without_validation(validated))
    assert weights.keys() == expected.keys()
    for name, value in weights.items():
        assert torch.equal(value, expected[name]), name
    assert torch.equal(numbers, expected_numbers)
    assert runner.model.training
    assert all(p.requires_grad for p in runner.model.parameters())
    found = figures(validated)
    assert [entry["step"] for entry in found] == [1, 2, 3][: len(found)]
    assert len(found) == (2 if unit == "epochs" else 3)
    assert all(0 <= entry["mot/HOTA"] <= 1 for entry in found)
    assert "mot/HOTA: " in log_of(validated)


def test_what_is_saved_was_validated(validated, monkeypatch):
    """The best checkpoint, by itself, tracks as in the validation that chose it."""
    validated.custom_hooks = [EMA]
    validated.default_hooks.checkpoint.save_best = "mot/MOTA"
    tracked = []
    compute = MOTMetric.compute_metrics

    def watch(self, results):
        tracked.append([(n, frame.results.tolist()) for _, n, frame in results])
        return compute(self, results)

    monkeypatch.setattr(MOTMetric, "compute_metrics", watch)
    trained(validated)
    (best,) = Path(validated.work_dir).glob("best_mot_MOTA_epoch_*.pth")
    epoch = int(best.stem[-1])
    hub = read_checkpoint(Path(validated.work_dir) / "epoch_2.pth")["message_hub"]
    assert hub["runtime_info"]["best_score"] == max(
        entry["mot/MOTA"] for entry in figures(validated)
    )
    alone = copy.deepcopy(validated)
    alone.update(load_from=str(best), custom_hooks=[], work_dir=f"{best}_alone")
    alone.experiment_name += "_alone"
    found = Runner.from_cfg(alone).val()
    assert tracked[-1] == tracked[epoch - 1]
    assert any(rows for _, rows in tracked[-1])
    assert found["mot/MOTA"] == figures(validated)[epoch - 1]["mot/MOTA"]
    # What was tracked is the average, not what trains on.
    saved = read_checkpoint(best)
    name = "bbox_head.heatmap_branch.2.weight"
    trains_on = saved["ema_state_dict"][f"module.{name}"]
    assert not torch.equal(saved["state_dict"][name], trains_on)


def test_the_copy_is_the_fast_one(validated, monkeypatch):
    optimised = []
    optimize = FairMOT.optimize_for_inference
    monkeypatch.setattr(
        FairMOT,
        "optimize_for_inference",
        lambda self, dtype: optimised.append((self, dtype)) or optimize(self, dtype),
    )
    validated.val_cfg.fp16 = True
    validated.train_cfg.max_epochs = 1
    runner, _, _ = trained(validated)
    assert len(optimised) == 1
    assert all(model is not runner.model for model, _ in optimised)
    assert {dtype for _, dtype in optimised} == {torch.bfloat16}


def test_validation_alone_needs_no_identities(validated):
    assert validated.model.reid_head.get("num_ids", "auto") == "auto"
    runner = Runner.from_cfg(validated)
    assert "mot/HOTA" in runner.val()
    assert runner.model.reid_head.classifier is None


def test_best_so_far_survives_a_stop(validated, monkeypatch):
    scores = iter([0.5, 0.9, 0.7, 0.95])
    monkeypatch.setattr(MOTMetric, "compute_metrics", lambda *_: {"HOTA": next(scores)})
    work = Path(validated.work_dir)

    def best() -> list[str]:
        return [path.name for path in work.glob("best_*")]

    trained(validated)
    assert best() == ["best_mot_HOTA_epoch_2.pth"]
    for epochs, name in ((3, "epoch_2"), (4, "epoch_4")):
        validated.update(resume=True, experiment_name=f"{work.name}_{epochs}")
        validated.train_cfg.max_epochs = epochs
        trained(validated)
        assert best() == [f"best_mot_HOTA_{name}.pth"]


def test_options_of_the_config(validated, monkeypatch):
    """Both at once, as configs/fairmot_dla34_mot17half.py has them."""
    path = Path(__file__).parents[2] / "configs/fairmot_dla34_mot17half.py"
    options = Config.fromfile(path)
    monkeypatch.setattr(MOTMetric, "compute_metrics", lambda *_: {"HOTA": 0.5})
    validated.train_cfg.max_epochs = 9
    validated.custom_hooks = [options.ema, dict(options.early_stopping, patience=2)]
    runner, _, _ = trained(validated)
    assert runner.epoch == 3
    assert "did not improve" in log_of(validated)
    assert "ema_state_dict" in read_checkpoint(Path(validated.work_dir) / "epoch_3.pth")


@pytest.mark.parametrize(
    ("name", "better"),
    [
        ("mot/HOTA", "greater"),
        ("mot/MT", "greater"),
        ("mot/motmetrics/IDF1", "greater"),
        ("mot/IDSW", "less"),
        ("mot/FP", "less"),
        ("mot/ML", "less"),
    ],
)
def test_better_figures_are_known(name, better):
    hook = HOOKS.build(dict(type="SafeCheckpointHook", save_best=name))
    assert hook.rules == [better]


def test_an_unknown_figure_is_named(validated):
    validated.default_hooks.checkpoint.update(save_best="mot/CHOTA", rule="greater")
    validated.train_cfg.max_epochs = 1
    runner, _, _ = trained(validated)
    assert runner.epoch == 1
    assert "save_best is ['mot/CHOTA'], the figures are mot/HOTA, " in (
        log_of(validated)
    )


def lose_image(config: Config) -> str:
    root = Path(config.val_dataloader.dataset.data_root)
    path = root / "SYN-01/img1/000005.jpg"
    path.write_bytes(b"")
    return f"unreadable image {path}"


def lose_ground_truth(config: Config) -> str:
    path = Path(config.val_dataloader.dataset.data_root) / "SYN-01/gt/gt.txt"
    path.write_text("1,one,2,3,4,5,1,1,1\n")
    return f"{path}:1: "


class LossHook(Hook):
    """Damages the data after so many epochs."""

    def __init__(self, epochs, damage):
        self.epochs, self.damage = epochs, damage

    def after_train_epoch(self, runner):
        if runner.epoch + 1 == self.epochs:
            self.damage()


@pytest.mark.parametrize(
    ("damage", "workers"), [(lose_image, 1), (lose_ground_truth, 0)]
)
def test_a_failed_validation_ends_no_training(validated, own_data, damage, workers):
    messages = []
    validated.val_dataloader.update(num_workers=workers, persistent_workers=workers > 0)
    validated.train_cfg.max_epochs = 3
    validated.custom_hooks = [EMA]
    runner = Runner.from_cfg(validated)
    runner.register_hook(LossHook(2, lambda: messages.append(damage(own_data))))
    runner.train()
    assert runner.epoch == 3
    log = log_of(validated)
    assert messages[0] in log
    assert log.count("no validation, training goes on:\nTraceback") == 2
    first, second, third = figures(validated)
    assert "mot/HOTA" in first
    assert not any(name.startswith("mot/") for name in {**second, **third})
    _, expected, _ = trained(without_validation(validated))
    for name, value in runner.model.state_dict().items():
        assert torch.equal(value, expected[name]), name
    with pytest.raises((OSError, ValueError), match="SYN-01"):
        Runner.from_cfg(validated).val()


@pytest.fixture
def own_data(validated, tmp_path) -> Config:
    """The validation data copied, to be damaged."""
    dataset = validated.val_dataloader.dataset
    shutil.copytree(dataset.data_root, tmp_path / "data")
    dataset.data_root = str(tmp_path / "data")
    return validated


def test_a_half_without_boxes_is_scored(validated, own_data):
    for path in (Path(own_data.val_dataloader.dataset.data_root)).glob("*/gt/gt.txt"):
        lines = [x for x in path.read_text().splitlines() if x.startswith("1,")]
        path.write_text("\n".join(lines))
    validated.train_cfg.max_epochs = 1
    runner, _, _ = trained(validated)
    assert runner.epoch == 1
    assert "no considered pedestrian in frames" in log_of(validated)
    assert [entry["mot/HOTA"] for entry in figures(validated)] == [0]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "SYN-00/gt/gt.txt: no ground truth.*val_evaluator"),
        ("1,-1,2,3,4,5,1,1,1", r"SYN-00/gt/gt.txt:1: id -1 of a considered box"),
    ],
)
def test_what_cannot_be_scored_is_refused_before_the_training(
    validated, own_data, text, message
):
    for path in (Path(own_data.val_dataloader.dataset.data_root)).glob("*/gt/gt.txt"):
        path.unlink() if text is None else path.write_text(text)
    runner = Runner.from_cfg(validated)
    with pytest.raises((FileNotFoundError, ValueError), match=message):
        runner.train()
    assert runner.iter == 0


def _train_in_one_of_two(rank, port, path, image):
    os.environ |= {
        "RANK": str(rank),
        "LOCAL_RANK": str(rank),
        "WORLD_SIZE": "2",
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
    }
    torch.set_num_threads(1)
    runner = build_runner(Config.fromfile(path))
    runner.register_hook(LossHook(2, lambda: image.write_bytes(b"")))
    runner.train()


def test_two_processes(validated, own_data, tmp_path):
    """They validate what is saved; the error of one does not stop the other."""
    config = copy.deepcopy(validated)
    config.update(launcher="pytorch", work_dir=str(tmp_path / "two"))
    config.train_dataloader.batch_size = 2
    config.dump(tmp_path / "config.py")
    image = tmp_path / "data/SYN-01/img1/000005.jpg"
    content = image.read_bytes()
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    processes = [
        multiprocessing.get_context("spawn").Process(
            target=_train_in_one_of_two,
            args=(rank, port, tmp_path / "config.py", image),
        )
        for rank in range(2)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join(240)
        process.kill()
    assert [process.exitcode for process in processes] == [0, 0]
    first, second = figures(config)
    assert "mot/MOTA" not in second
    assert f"unreadable image {image}" in log_of(config)
    image.write_bytes(content)
    validated.load_from = str(tmp_path / "two/epoch_1.pth")
    found = Runner.from_cfg(validated).val()
    assert {name: first[name] for name in found} == found
