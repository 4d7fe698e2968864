"""Every published network, as its config builds it."""

from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.optim import build_optim_wrapper

from fairmot_mm.apis import inference_mot
from fairmot_mm.checkpoints.architectures import ARCHITECTURES
from fairmot_mm.registry import DATASETS, MODELS
from fairmot_mm.utils import convert_fairmot_checkpoint

REPOSITORY = Path(__file__).resolve().parents[2]
CONFIGS = REPOSITORY / "configs"


@pytest.fixture(scope="module")
def frames(synthetic) -> Path:
    """A sequence: the real one where it is at hand."""
    real = REPOSITORY.parent / "shared/data/MOT17-mini/MOT17-04-FRCNN"
    return real if real.is_dir() else synthetic / "SYN-00"


def config(arch: str) -> Config:
    return Config.fromfile(CONFIGS / f"{ARCHITECTURES[arch].config}.py")


@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_every_published_tensor_has_its_place(arch, published_state):
    published = published_state({}, arch=arch)
    model = MODELS.build(config(arch).model)
    own = {
        name: value.shape
        for name, value in model.state_dict().items()
        if not name.startswith("task_weighting.")
    }
    converted = convert_fairmot_checkpoint(published)
    assert {name: value.shape for name, value in converted.items()} == own
    unused = ("base.level3.project.", "base.level4.project.")
    used = [name for name in published if not name.startswith(unused)]
    assert len(converted) == len(used)


@pytest.mark.parametrize(
    "arch",
    [
        pytest.param(name, marks=[] if name == "dla_34" else pytest.mark.needs_shared)
        for name in ARCHITECTURES
    ],
)
def test_maps_equal_the_published_network(
    arch, golden, published_state, assert_maps_equal
):
    numbers = golden(f"net_{arch}.npz")
    model = MODELS.build(config(arch).model).eval()
    published = published_state(numbers, arch=arch)
    model.load_state_dict(convert_fairmot_checkpoint(published))
    assert_maps_equal(model, numbers)


@pytest.mark.parametrize("arch", [name for name in ARCHITECTURES if name != "dla_34"])
def test_every_parameter_learns(arch):
    cfg = config(arch).model
    cfg.reid_head.num_ids = 5
    model = MODELS.build(cfg)
    model.init_weights()
    model.train()
    maps = model(torch.rand(2, 3, 64, 64), mode="tensor")
    sum(m.square().mean() for m in maps.values()).backward()
    without = [name for name, p in model.named_parameters() if p.grad is None]
    # Only the loss reads these.
    assert all("classifier" in n or "task_weighting" in n for n in without)


@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_config_trains_and_tracks(arch, frames):
    cfg = config(arch)
    for loader in (cfg.train_dataloader, cfg.test_dataloader):
        loader.dataset.update(
            data_root=str(frames), detector=None, input_size=(256, 160)
        )
    dataset = DATASETS.build(cfg.train_dataloader.dataset)
    cfg.model.reid_head.num_ids = dataset.num_ids
    # Untrained, it sees people all over the place.
    cfg.model.bbox_head.test_cfg = dict(topk=20)
    cfg.model.tracker.update(obj_score_thr=0.0, min_box_area=0, max_aspect_ratio=None)

    torch.manual_seed(0)
    model = MODELS.build(cfg.model)
    model.init_weights()
    model.train()
    optimizer = build_optim_wrapper(model, cfg.optim_wrapper)
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    for _ in range(3):
        batch = pseudo_collate([dataset[0], dataset[1]])
        # From scratch and on other crops each time, the loss need not fall so soon.
        assert model.train_step(batch, optimizer)["loss"].isfinite()
    still = [n for n, p in model.named_parameters() if torch.equal(p, before[n])]
    assert not still

    model.eval()
    model.cfg = cfg
    images = sorted((frames / "img1").iterdir())[:2]
    found = [inference_mot(model, path, i) for i, path in enumerate(images)]
    assert all(len(f.pred_track_instances) for f in found)
    tracks = found[1].pred_track_instances
    assert tracks.bboxes.isfinite().all()
    assert len(tracks.instances_id.unique()) == len(tracks)


def test_recipe_of_the_light_model():
    cfg = config("yolo")
    model = MODELS.build(cfg.model)
    assert isinstance(model.bbox_head.heatmap_branch[1], torch.nn.SiLU)
    assert isinstance(model.reid_head.branch[1], torch.nn.SiLU)
    assert model.bbox_head.heatmap_branch[0].out_channels == 64
    assert model.reid_head.embed_dims == 64
    assert model.bbox_head.loss_size.loss_weight == 0.5
    assert type(model.task_weighting).__name__ == "FixedWeighting"
    assert cfg.optim_wrapper.optimizer.lr == 5e-4
    assert cfg.train_dataloader.batch_size == 16
