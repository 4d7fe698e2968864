"""tools/test.py on exported files."""

import copy
import json
import runpy
from pathlib import Path

import numpy as np
import pytest
from mmengine.config import Config
from mmengine.dataset import default_collate
from mmengine.model import BaseModel

from fairmot_mm.apis import init_model, track_video
from fairmot_mm.evaluation import EmbeddingMetric
from fairmot_mm.formats.mot_results import read_results
from fairmot_mm.registry import DATASETS

ROOT = Path(__file__).parents[2]


def test_an_exported_file_is_scored_like_a_checkpoint(
    exported, light_config, synthetic, tmp_path
):
    cfg = copy.deepcopy(light_config)
    cfg.test_dataloader.dataset.update(with_ground_truth=True, detector=None)
    cfg.test_evaluator = [
        dict(type="MOTMetric", backends=["trackeval"]),
        dict(type="DetectionMetric"),
        dict(type="EmbeddingMetric"),
    ]
    cfg.dump(tmp_path / "light.py")
    main = runpy.run_path(str(ROOT / "tools/test.py"))["main"]
    options = ["--work-dir", str(tmp_path / "work"), "--out", str(tmp_path / "out")]
    assert main([str(tmp_path / "light.py"), str(exported), *options]) == 0

    (file,) = (tmp_path / "work").glob("*/*.json")
    figures = json.loads(file.read_text())
    assert 0 <= figures["mot/HOTA"] <= 1
    assert "det/AP50" in figures
    assert any(key.startswith("emb/") for key in figures)
    model = init_model(cfg, exported, device="cpu")
    for name in ("SYN-00", "SYN-02"):
        alone = tmp_path / f"{name}.txt"
        track_video(model, synthetic / name / "img1", alone)
        ours, scored = read_results(alone), read_results(tmp_path / f"out/{name}.txt")
        assert len(ours)
        assert np.allclose(ours, scored, atol=2e-3)


def embedding_figures(model: BaseModel, cfg: Config) -> dict[str, float]:
    dataset = DATASETS.build(cfg.test_dataloader.dataset)
    metric = EmbeddingMetric(gaps=(1, 3), false_rates=(0.1, 0.01))
    for i in range(len(dataset)):
        samples = model.test_step(default_collate([dataset[i]]))
        metric.process(None, [sample.to_dict() for sample in samples])
    return metric.evaluate(len(dataset))


def test_embeddings_are_scored_as_those_of_pytorch(
    coloured, coloured_file, coloured_config
):
    coloured_config.test_dataloader.dataset.with_ground_truth = True
    coloured_config.test_dataloader.dataset.detector = None
    expected = embedding_figures(coloured, coloured_config)
    model = init_model(coloured_config, coloured_file, device="cpu")
    found = embedding_figures(model, coloured_config)
    assert {"emb/rank1@1", "emb/mAP@3", "emb/TPR@FAR0.1"} <= set(expected)
    assert found == pytest.approx(expected, abs=0.02)
