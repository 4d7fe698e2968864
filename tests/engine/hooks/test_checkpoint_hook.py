import os
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.model import BaseModel
from mmengine.registry import MODELS
from mmengine.runner import Runner
from torch import nn
from torch.utils.data import Dataset

from fairmot_mm.checkpoints import read_checkpoint
from fairmot_mm.checkpoints.files import write_checkpoint
from fairmot_mm.registry import DATASETS


@DATASETS.register_module(force=True)
class Numbers(Dataset):
    """Four samples of as many classes as wished."""

    def __init__(self, identities: int) -> None:
        self.num_ids = identities
        self.metainfo = dict(identities=identities)

    def __len__(self):
        return 4

    def __getitem__(self, index):
        return dict(inputs=torch.ones(3), target=torch.tensor(index % self.num_ids))


class Head(nn.Module):
    num_ids_from_data = True

    def set_num_ids(self, num_ids):
        self.num_ids_from_data = False
        self.classifier = nn.Linear(3, num_ids)


@MODELS.register_module(force=True)
class Classifier(BaseModel):
    def __init__(self, init_cfg=None, weighted=False):
        super().__init__(init_cfg=init_cfg)
        self.reid_head = Head()
        if weighted:
            self.task_weighting = nn.Linear(1, 1)

    def forward(self, inputs, target, mode):
        logits = self.reid_head.classifier(torch.stack(inputs))
        return dict(loss=nn.functional.cross_entropy(logits, torch.stack(target)))


@pytest.fixture
def train(tmp_path):
    """Train some epochs in one work dir; returns the runner."""

    def run(epochs, identities=3, optimizer="Adam", model=None, **settings) -> Runner:
        cfg = Config(
            dict(
                default_scope="fairmot_mm",
                experiment_name=f"{tmp_path.name}_{os.urandom(4).hex()}",
                work_dir=str(tmp_path / "work"),
                model=dict(type="mmengine.Classifier", **(model or {})),
                train_dataloader=dict(
                    batch_size=2,
                    num_workers=0,
                    dataset=dict(type="Numbers", identities=identities),
                    sampler=dict(type="DefaultSampler", shuffle=True),
                ),
                train_cfg=dict(type="FairMOTTrainLoop", max_epochs=epochs),
                optim_wrapper=dict(optimizer=dict(type=optimizer, lr=0.1)),
                default_hooks=dict(
                    checkpoint=dict(type="SafeCheckpointHook", interval=1)
                ),
                randomness=dict(seed=0),
                log_level="WARNING",
            )
        )
        cfg.merge_from_dict(settings)
        runner = Runner.from_cfg(cfg)
        runner.train()
        return runner

    return run


@pytest.fixture
def work(tmp_path) -> Path:
    return tmp_path / "work"


def epoch_resumed(work: Path) -> int:
    return int(Path((work / "last_checkpoint").read_text()).stem.split("_")[1])


def test_resumes_like_an_undisturbed_training(train, work):
    undisturbed = train(4).model.state_dict()
    for name in ("epoch_3.pth", "epoch_4.pth"):
        (work / name).unlink()
    (work / "last_checkpoint").write_text(str(work / "epoch_2.pth"))
    resumed = train(4, resume=True)
    assert resumed.epoch == 4
    for name, value in resumed.model.state_dict().items():
        assert torch.equal(value, undisturbed[name])


@pytest.mark.parametrize("damage", ["cut", "flipped", "gone"])
def test_a_damaged_checkpoint_is_passed_over(train, work, damage, caplog):
    train(3)
    path = work / "epoch_3.pth"
    content = bytearray(path.read_bytes())
    content[len(content) // 3] ^= 4
    {
        "cut": lambda: path.write_bytes(content[: len(content) // 2]),
        "flipped": lambda: path.write_bytes(content),
        "gone": path.unlink,
    }[damage]()
    seen = []
    runner = train(4, resume=True)
    seen += [p.read_text() for p in work.glob("*/*.log")]
    assert any(f"cannot resume from {path}: " in text for text in seen)
    assert runner.epoch == 4
    assert read_checkpoint(work / "epoch_3.pth")["meta"]["epoch"] == 3


@pytest.mark.parametrize("pointer", ["", None])
def test_a_lost_pointer_loses_no_epoch(train, work, pointer):
    train(2)
    (work / "last_checkpoint").unlink()
    if pointer is not None:
        (work / "last_checkpoint").write_text(pointer)
    before = (work / "epoch_2.pth").stat().st_mtime_ns
    assert train(3, resume=True).epoch == 3
    assert (work / "epoch_2.pth").stat().st_mtime_ns == before  # not trained again


def test_no_intact_checkpoint_is_an_error(train, work):
    train(1)
    (work / "epoch_1.pth").write_bytes(b"PK\x03\x04")
    with pytest.raises(ValueError, match="cannot resume: no intact checkpoint in"):
        train(2, resume=True)


def test_without_checkpoints_training_begins(train):
    assert train(1, resume=True).epoch == 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            dict(identities=5),
            "3 identities in the checkpoint, 5 in the training data.*load_from",
        ),
        (dict(model=dict(weighted=True)), r"task_weighting\.weight is absent in the"),
        (dict(optimizer="SGD"), "an optimiser with betas in the checkpoint, with mom"),
    ],
)
def test_another_training_is_not_resumed(train, change, message):
    train(1)
    with pytest.raises(ValueError, match=message):
        train(2, resume=True, **change)


def test_other_identities_start_from_the_weights(train, work):
    train(1)
    path = str(work / "epoch_1.pth")
    assert train(1, identities=5, load_from=path).epoch == 1


class Hostile:
    def __init__(self, folder):
        self.folder = str(folder)

    def __reduce__(self):
        return os.makedirs, (self.folder, 0o777, True)


@pytest.mark.parametrize("way", ["load_from", "resume", "auto", "init_cfg"])
def test_code_in_a_checkpoint_is_not_run(train, work, tmp_path, way):
    harm, path = tmp_path / "harm", work / "epoch_1.pth"
    train(1)
    checkpoint = dict(read_checkpoint(path), hidden=Hostile(harm))
    torch.save(checkpoint, path)
    settings = {
        "load_from": dict(load_from=str(path)),
        "resume": dict(load_from=str(path), resume=True),
        "auto": dict(resume=True),
        "init_cfg": dict(
            model=dict(init_cfg=dict(type="Pretrained", checkpoint=str(path)))
        ),
    }[way]
    with pytest.raises(ValueError, match=r"run any code.*--trust-checkpoint"):
        train(2, **settings)
    assert not harm.exists()
    trusted = {"default_hooks.checkpoint.trust_checkpoint": True}
    train(2, **settings, **trusted)
    assert harm.is_dir()


def test_an_mmengine_that_leaves_it_to_pytorch_reads_its_log(train, work):
    train(1)
    train(2, resume=True)
    assert "message_hub" in read_checkpoint(work / "epoch_2.pth")


def test_text_in_a_checkpoint_is_not_run_as_a_config(train, work, tmp_path):
    harm, path = tmp_path / "harm", work / "epoch_1.pth"
    train(1)
    checkpoint = dict(read_checkpoint(path))
    checkpoint["meta"]["config"] = f"import os\nos.mkdir({str(harm)!r})\n"
    write_checkpoint(checkpoint, path)
    assert train(2, resume=True).epoch == 2
    assert not harm.exists()


def test_a_full_disk_ends_the_training_and_keeps_what_was_written(
    train, work, monkeypatch
):
    train(1)
    kept = (work / "epoch_1.pth").read_bytes()

    def fail(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("fairmot_mm.formats.writing.os.fsync", fail)
    with pytest.raises(OSError, match=r"No space left .*epoch_2\.pth"):
        train(2, resume=True)
    assert (work / "epoch_1.pth").read_bytes() == kept
    assert not list(work.glob("epoch_2*"))
    assert epoch_resumed(work) == 1
