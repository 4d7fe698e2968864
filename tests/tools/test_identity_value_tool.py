"""Detection and identity figures by the tools, on a network of random weights."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from mmengine.config import Config

from fairmot_mm.registry import MODELS

ROOT = Path(__file__).parents[2]
CONFIG = """
_base_ = {base!r}
test_dataloader = dict(
    num_workers=0,
    persistent_workers=False,
    dataset=dict(
        data_root={data!r},
        detector=None,
        input_size=(192, 128),
        with_ground_truth=True,
    ))
test_evaluator = [
    dict(type="DetectionMetric"),
    dict(type="EmbeddingMetric", gaps=(1, 3)),
    dict(type="MOTMetric", backends=("trackeval",)),
]
model = dict(tracker=dict(obj_score_thr=0.05, min_box_area=0))
"""


@pytest.fixture(scope="module")
def config(tmp_path_factory, synthetic) -> Path:
    path = tmp_path_factory.mktemp("config") / "config.py"
    base = str(ROOT / "configs/fairmot_yolov5s_mot17.py")
    path.write_text(CONFIG.format(base=base, data=str(synthetic)))
    return path


@pytest.fixture(scope="module")
def checkpoint(config) -> Path:
    torch.manual_seed(0)
    path = config.with_name("weights.pth")
    model = Config.fromfile(config).model
    torch.save(MODELS.build(model | dict(_scope_="fairmot_mm")).state_dict(), path)
    return path


def run(tool: str, *arguments) -> subprocess.CompletedProcess:
    arguments = [sys.executable, ROOT / "tools" / tool, *map(str, arguments)]
    return subprocess.run(arguments, capture_output=True, text=True, check=False)


def test_several_metrics_score_one_pass(config, checkpoint, tmp_path):
    results = tmp_path / "results"
    arguments = (
        "test.py",
        config,
        checkpoint,
        "--work-dir",
        tmp_path,
        "--out",
        results,
    )
    outcome = run(*arguments)
    assert outcome.returncode == 0, outcome.stderr
    (path,) = tmp_path.glob("*/*.json")
    figures = json.loads(path.read_text())
    assert {"mot/HOTA", "det/AP", "det/reference/AP", "emb/rank1@1"} <= set(figures)
    assert {"emb/mAP@3", "emb/TPR@FAR0.1"} <= set(figures)
    assert len(list(results.iterdir())) == 3


def test_identity_value(config, checkpoint, tmp_path):
    out = tmp_path / "figures.json"
    tool = "analysis_tools/identity_value.py"
    outcome = run(tool, config, checkpoint, "--out", out)
    assert outcome.returncode == 0, outcome.stderr
    assert "colour histograms" in outcome.stdout
    figures = json.loads(out.read_text())
    identity, tracking = figures["identity"], figures["tracking"]
    rates = {name: found["rank1@1"] for name, found in identity.items()}
    assert list(rates) == ["network", "untrained network", "colour histograms"]
    # Synthetic people differ in their clothes.
    assert rates["colour histograms"] > 0.7
    assert rates["network"] != rates["untrained network"]
    assert [*tracking] == ["with embeddings", "without embeddings"]
    assert all("HOTA" in found for found in tracking.values())
