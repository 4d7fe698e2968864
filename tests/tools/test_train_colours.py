"""The colours of a network, trained alone."""

import runpy
from pathlib import Path

import pytest
import torch

from fairmot_mm.apis import init_model
from fairmot_mm.checkpoints.files import read_checkpoint
from fairmot_mm.checkpoints.packaged import PACKAGED_CONFIG
from fairmot_mm.evaluation import EmbeddingMetric
from fairmot_mm.synthetic import make_sequence

TOOL = Path(__file__).parents[2] / "tools/train_colours.py"
CONFIG = "small_data/fairmot_yolov5s_576x320"
WEIGHTS = "fairmot://yolov5s_576x320"


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("data")
    for seed, name in enumerate(("A", "B")):
        make_sequence(
            root, name, num_frames=12, num_people=5, size=(192, 128), seed=seed
        )
    return root


@pytest.fixture
def main():
    return runpy.run_path(str(TOOL))["main"]


def test_colours_alone_are_replaced(main, data, tmp_path, capsys, monkeypatch):
    figures, score = [], EmbeddingMetric.compute_metrics
    monkeypatch.setattr(
        EmbeddingMetric,
        "compute_metrics",
        lambda self, frames: figures.append(score(self, frames)),
    )
    out = tmp_path / "new.pth"
    settings = ["--data", str(data), "--leave-out", "B", "--batch-size", "2"]
    settings += ["--steps", "50"]
    options = ["--cfg-options", "test_dataloader.dataset.input_size=(192,128)"]
    assert main([CONFIG, WEIGHTS, "--out", str(out), *settings, *options]) == 0
    said = capsys.readouterr().out
    # Of the sequence left out: a drawn person's clothes are easily recognised.
    assert figures[0]["rank1@1"] > 0.8
    before, after = (read_checkpoint(x)["state_dict"] for x in (WEIGHTS, out))
    assert before.keys() == after.keys()
    for name, tensor in before.items():
        trained = name.startswith(("reid_head.colours", "reid_head.description"))
        assert torch.equal(tensor, after[name]) != trained, name
    model = init_model(PACKAGED_CONFIG, str(out))
    expected = after["reid_head.description.weight"]
    assert torch.equal(model.reid_head.description.weight, expected)
    # By chance it would be log(9): one right box among those of five people, twice.
    loss = float(said.split("step 50: loss ")[1].split()[0])
    assert loss < 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--leave-out", "C"], "--leave-out C: {data} has A, B"),
        (["--steps", "0"], "--steps 0: expected at least 1"),
        (["--batch-size", "3"], "--batch-size 3: expected an even number"),
        (
            ["--cfg-options", "model.reid_head.type=EmbeddingHead"],
            "model.reid_head is EmbeddingHead: only ColourEmbeddingHead has colours",
        ),
        (["--data", "nowhere"], "nowhere: no such folder"),
    ],
)
def test_mistakes_are_one_line(main, data, tmp_path, capsys, arguments, message):
    given = [CONFIG, WEIGHTS, "--out", str(tmp_path / "x.pth"), "--data", str(data)]
    assert main([*given, *arguments]) == 2
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert error.startswith("error: " + message.format(data=data))
    assert not (tmp_path / "x.pth").exists()
