"""Every published network, as its config builds it, in an exported file.

At full depth each is compared by hand, see docs/deployment.md.
"""

from pathlib import Path

import pytest
import torch
from conftest import spread
from mmengine.config import Config

from fairmot_mm.apis import init_model
from fairmot_mm.checkpoints.architectures import ARCHITECTURES
from fairmot_mm.deployment.exporting import export_model

CONFIGS = Path(__file__).parents[2] / "configs"
SIZE = (64, 64)
RUN_TIMES = dict(onnx="onnxruntime", xml="openvino")
# ONNX's exporter takes three times as long: the others differ in depth alone, or are
# cut short in test_exporting.py.
IN_ONNX = ("hrnet_18", "resfpndcn_34")


def cut_short(cfg: Config) -> Config:
    """One block instead of many alike, which take an HRNet's exporter a minute."""
    for stage in cfg.model.backbone.get("extra", {}).values():
        stage.update(num_modules=1, num_blocks=(1,) * stage.num_branches)
    return cfg


@pytest.mark.parametrize(
    ("arch", "suffix"),
    [*((arch, "xml") for arch in ARCHITECTURES), *((a, "onnx") for a in IN_ONNX)],
)
def test_every_network_leaves_the_house(arch, suffix, tmp_path):
    pytest.importorskip(RUN_TIMES[suffix])
    cfg = Config.fromfile(CONFIGS / f"{ARCHITECTURES[arch].config}.py")
    torch.manual_seed(0)
    model = spread(init_model(cut_short(cfg), device="cpu"))
    # Compares with PyTorch, and raises where a figure is beyond its limit.
    differences = export_model(model, tmp_path / f"model.{suffix}", SIZE)
    assert len(differences.boxes) >= 9  # a few peaks in each of three frames
