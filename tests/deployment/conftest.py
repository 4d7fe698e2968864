"""Two small networks, exported once by each exporter."""

from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config

from fairmot_mm.apis import init_model
from fairmot_mm.deployment.exporting import export_model
from fairmot_mm.models import DCNv2

CONFIGS = Path(__file__).parents[2] / "configs"
SIZE = (96, 64)
# The light network, a quarter as wide; and a short one with a deformable convolution.
LIGHT = dict(
    backbone=dict(widen_factor=0.125, deepen_factor=0.1),
    neck=dict(in_channels=(16, 32, 64, 128)),
    bbox_head=dict(in_channels=16, feat_channels=8, test_cfg=dict(topk=40)),
    reid_head=dict(in_channels=16, feat_channels=8, embed_dims=8, num_ids=5),
)
# The same, which reads colours in boxes.
COLOURED = dict(LIGHT, reid_head=dict(LIGHT["reid_head"], type="ColourEmbeddingHead"))
DEFORMABLE = dict(
    backbone=dict(num_stages=2, strides=(1, 2), dilations=(1, 1), out_indices=(1,)),
    neck=dict(in_channels=128, channels=(8,)),
    bbox_head=dict(in_channels=8, feat_channels=8),
    reid_head=dict(in_channels=8, feat_channels=8, embed_dims=8),
)


def small_config(name: str, model: dict, root: Path | None = None) -> Config:
    cfg = Config.fromfile(CONFIGS / name)
    tracker = dict(obj_score_thr=0.1, min_box_area=0, max_aspect_ratio=None)
    cfg.merge_from_dict(dict(model=dict(model, tracker=tracker)))
    cfg.test_dataloader.update(num_workers=0, persistent_workers=False)
    cfg.test_dataloader.dataset.update(input_size=SIZE, data_root=str(root))
    return cfg


def spread(model: torch.nn.Module) -> torch.nn.Module:
    """Weights that make peaks of differing scores, and offsets that are not zero."""
    torch.manual_seed(1)
    torch.nn.init.normal_(model.bbox_head.heatmap_branch[-1].weight, std=2)
    for module in model.modules():
        if isinstance(module, DCNv2):
            torch.nn.init.normal_(module.conv_offset.bias, std=1.5)
    return model


@pytest.fixture(scope="session")
def light_config(synthetic):
    return small_config("fairmot_yolov5s_mot17.py", LIGHT, synthetic)


@pytest.fixture(scope="session")
def light(light_config):
    torch.manual_seed(0)
    return spread(init_model(light_config, device="cpu"))


@pytest.fixture(scope="session")
def deformable():
    torch.manual_seed(0)
    cfg = small_config("fairmot_resdcn18_mot17.py", DEFORMABLE)
    return spread(init_model(cfg, device="cpu"))


@pytest.fixture(scope="session")
def coloured_config(synthetic):
    return small_config("fairmot_yolov5s_mot17.py", COLOURED, synthetic)


@pytest.fixture(scope="session")
def coloured(coloured_config):
    torch.manual_seed(0)
    return spread(init_model(coloured_config, device="cpu"))


@pytest.fixture(scope="session", params=["onnx", "xml"])
def suffix(request):
    """Of each format whose run time is installed."""
    pytest.importorskip(dict(onnx="onnxruntime", xml="openvino")[request.param])
    return request.param


@pytest.fixture(scope="session")
def exported(suffix, light, tmp_path_factory):
    """The light network in a file of each format."""
    path = tmp_path_factory.mktemp("light") / f"light.{suffix}"
    export_model(light, path, SIZE)
    return path


@pytest.fixture(scope="session")
def coloured_file(suffix, coloured, tmp_path_factory):
    """The one that reads colours in a file of each format."""
    path = tmp_path_factory.mktemp("coloured") / f"coloured.{suffix}"
    export_model(coloured, path, SIZE)
    return path


@pytest.fixture(scope="session")
def frame():
    rng = np.random.default_rng(3)
    return rng.integers(0, 256, (128, 192, 3), np.uint8)
