"""tools/test.py on exported files."""

import copy
import json
import runpy
from pathlib import Path

import numpy as np

from fairmot_mm.apis import init_model, track_video
from fairmot_mm.formats.mot_results import read_results

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
