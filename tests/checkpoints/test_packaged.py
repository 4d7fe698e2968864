import subprocess
import sys

import pytest
import torch

from fairmot_mm.apis import init_model
from fairmot_mm.checkpoints import read_checkpoint
from fairmot_mm.checkpoints.packaged import PACKAGED_WEIGHTS, PREFIX, resolve
from fairmot_mm.utils.paths import TOOLS


def test_names_of_the_package():
    assert resolve(f"{PREFIX}yolov5s_576x320") == PACKAGED_WEIGHTS
    assert resolve("http://a/b.pth") == "http://a/b.pth"


def test_unknown_name_lists_what_there_is():
    with pytest.raises(FileNotFoundError, match="which has fairmot://yolov5s_576x320"):
        resolve(f"{PREFIX}yolov9")


def test_weights_are_small():
    assert PACKAGED_WEIGHTS.stat().st_size < 12e6


def test_model_out_of_the_box():
    model = init_model()
    assert model.tracker.obj_score_thr == 0.35
    weight = model.backbone.stem.conv.conv.weight
    own = init_model(model.cfg, f"{PREFIX}yolov5s_576x320")
    assert (own.backbone.stem.conv.conv.weight == weight).all()
    # Weights of this precision are not what a random start gives.
    assert not (init_model(model.cfg).backbone.stem.conv.conv.weight == weight).all()


def test_training_starts_from_it():
    """A bare runner's ``load_from`` takes the name."""
    from mmengine.runner import CheckpointLoader

    import fairmot_mm.engine.hooks  # noqa: F401  (knows the prefix)

    loaded = CheckpointLoader.load_checkpoint(f"{PREFIX}yolov5s_576x320")
    assert "backbone.stem.conv.conv.weight" in loaded["state_dict"]


def test_published_weights_are_small_and_track_alike(tmp_path):
    """From any name that a checkpoint may have."""
    target = tmp_path / "small.pth"
    tool = TOOLS / "model_converters/publish_model.py"
    command = [sys.executable, str(tool), f"{PREFIX}yolov5s_576x320", str(target)]
    subprocess.run(command, check=True)
    published = read_checkpoint(target)["state_dict"]
    expected = read_checkpoint(PACKAGED_WEIGHTS)["state_dict"]
    assert published.keys() == expected.keys()
    assert all(torch.equal(published[key], expected[key]) for key in expected)
    types = {name: x.dtype for name, x in published.items()}
    assert set(types.values()) == {torch.float16, torch.int64, torch.float32}
    # Their products are up to a thousand, and differences of 1 between these count.
    exact = ["reid_head.colours.weight", "reid_head.colours.bias"]
    assert sorted(exact) == sorted(n for n, x in types.items() if x == torch.float32)
