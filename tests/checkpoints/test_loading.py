import copy
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from fairmot_mm.registry import MODELS
from fairmot_mm.utils import convert_fairmot_checkpoint, load_for_tracking

CONVERTERS = Path(__file__).parents[2] / "tools/model_converters"
NUM_IDS = 5
CLASSIFIER = {"reid_head.classifier.weight", "reid_head.classifier.bias"}
TASK_WEIGHTS = {"task_weighting.s_det", "task_weighting.s_id"}
FIRST = "backbone.base_layer.conv.weight"


@pytest.fixture(scope="module")
def published(published_state):
    """Published names and shapes, a classifier among them, one value per tensor.

    What repeats one value takes no room in a file.
    """
    shapes = published_state({}, num_ids=NUM_IDS)
    return {
        name: torch.tensor(i, dtype=tensor.dtype).expand(tensor.shape)
        for i, (name, tensor) in enumerate(shapes.items())
    }


@pytest.fixture(scope="module")
def converted(published):
    return convert_fairmot_checkpoint(published)


@pytest.fixture(scope="module")
def built():
    return {}


@pytest.fixture
def model(model_cfg, built):
    """A fresh model for tracking, without a classifier."""
    if not built:
        built["model"] = MODELS.build(model_cfg).eval()
    return copy.deepcopy(built["model"])


def with_classifier(model_cfg: dict, num_ids: int) -> torch.nn.Module:
    model_cfg["reid_head"]["num_ids"] = num_ids
    return MODELS.build(model_cfg)


def assert_loaded(model, converted, but=()):
    own = model.state_dict()
    names = set(own) - TASK_WEIGHTS - set(but)
    assert len(names) >= 388
    for name in names:
        assert torch.equal(own[name], converted[name]), name


def test_every_tensor_is_filled(model_cfg, converted):
    model = with_classifier(model_cfg, NUM_IDS)
    own = {name: tensor.shape for name, tensor in model.state_dict().items()}
    assert set(own) - set(converted) == TASK_WEIGHTS
    assert {name: tensor.shape for name, tensor in converted.items()} == {
        name: shape for name, shape in own.items() if name not in TASK_WEIGHTS
    }
    model.load_state_dict(converted, strict=True)
    assert_loaded(model, converted)


def test_classifier_is_converted(model_cfg, converted, published):
    model = with_classifier(model_cfg, NUM_IDS)
    model.load_state_dict(converted, strict=True)
    assert torch.equal(
        model.reid_head.classifier.weight, published["classifier.weight"]
    )
    assert torch.equal(model.reid_head.classifier.bias, published["classifier.bias"])


def test_task_weights_are_converted(model, published):
    weights = dict(s_det=torch.tensor([-1.25]), s_id=torch.tensor([0.5]))
    weights = {
        name: value.reshape(getattr(model.task_weighting, name).shape)
        for name, value in weights.items()
    }
    model.load_state_dict(convert_fairmot_checkpoint({**published, **weights}))
    assert model.task_weighting.s_det.item() == -1.25
    assert model.task_weighting.s_id.item() == 0.5


@pytest.mark.parametrize(
    "wrap",
    [
        lambda state: {f"module.{name}": value for name, value in state.items()},
        lambda state: dict(epoch=30, state_dict=state, optimizer=dict(lr=1e-4)),
        lambda state: dict(
            state_dict={f"module.{name}": value for name, value in state.items()}
        ),
    ],
    ids=["module.", "wrapped", "both"],
)
def test_forms_of_a_checkpoint(published, converted, wrap):
    result = convert_fairmot_checkpoint(wrap(published))
    assert list(result) == list(converted)
    assert all(torch.equal(result[name], converted[name]) for name in converted)


def test_unknown_tensors_are_named(published):
    foreign = {f"other.{i}.weight": torch.zeros(1) for i in range(4)}
    with pytest.raises(
        ValueError,
        match=r"not a checkpoint of dla_34: 4 tensors are not known to it, first "
        r"other\.0\.weight, other\.1\.weight, other\.2\.weight$",
    ):
        convert_fairmot_checkpoint({**published, **foreign})


@pytest.mark.parametrize("name", ["base.other.0.weight", "hm.7.weight", "id.x"])
def test_unknown_tensors_of_a_component_are_named(published, name):
    with pytest.raises(ValueError, match=f"1 tensors are not known to it, .*{name}"):
        convert_fairmot_checkpoint({**published, name: torch.zeros(1)})


def test_unknown_architecture(published):
    with pytest.raises(ValueError, match="arch='dla_60': choose one of dla_34"):
        convert_fairmot_checkpoint(published, arch="dla_60")


def test_nothing_to_convert():
    with pytest.raises(ValueError, match=r"holds no tensors.* its keys are epoch, lr"):
        convert_fairmot_checkpoint(dict(epoch=3, lr=0.1))


def test_loads_what_the_converter_writes(tmp_path, model, converted):
    torch.save(dict(state_dict=converted), tmp_path / "weights.pth")
    load_for_tracking(model, tmp_path / "weights.pth")
    assert_loaded(model, converted)


def test_loads_what_the_runner_writes(tmp_path, model, converted):
    checkpoint = dict(
        state_dict=converted,
        meta=dict(epoch=3),
        message_hub=dict(loss=np.float64(0.5)),
    )
    torch.save(checkpoint, tmp_path / "epoch_3.pth")
    load_for_tracking(model, str(tmp_path / "epoch_3.pth"))
    assert_loaded(model, converted)


@pytest.mark.parametrize("num_ids", [NUM_IDS, NUM_IDS + 2])
def test_classifier_of_other_data_is_left_out(tmp_path, model_cfg, converted, num_ids):
    torch.save(converted, tmp_path / "weights.pth")
    model = with_classifier(model_cfg, num_ids)
    before = {name: model.state_dict()[name].clone() for name in CLASSIFIER}
    load_for_tracking(model, tmp_path / "weights.pth")
    assert_loaded(model, converted, but=CLASSIFIER)
    expected = converted if num_ids == NUM_IDS else before
    for name in CLASSIFIER:
        assert torch.equal(model.state_dict()[name], expected[name])


def test_missing_file_is_named(tmp_path, model):
    with pytest.raises(FileNotFoundError, match=r"no checkpoint at .*nowhere\.pth"):
        load_for_tracking(model, tmp_path / "nowhere.pth")
    with pytest.raises(FileNotFoundError, match="no checkpoint at"):
        load_for_tracking(model, tmp_path)


def test_file_that_is_no_checkpoint(tmp_path, model):
    path = tmp_path / "weights.pth"
    for content in (b"", b"this is no checkpoint", b"PK\x03\x04 nor is this"):
        path.write_bytes(content)
        with pytest.raises(ValueError, match=r"weights\.pth: no checkpoint"):
            load_for_tracking(model, path)
    torch.save(dict(epoch=3), path)
    with pytest.raises(ValueError, match=r"weights\.pth: .*holds no tensors"):
        load_for_tracking(model, path)


@pytest.mark.parametrize(
    "content", [[1, 2], torch.zeros(3), {0: torch.zeros(3)}, dict(state_dict=None)]
)
def test_file_of_something_else_is_no_checkpoint(tmp_path, model, content):
    torch.save(content, tmp_path / "weights.pth")
    with pytest.raises(ValueError, match=r"weights\.pth"):
        load_for_tracking(model, tmp_path / "weights.pth")


def test_other_architecture_is_named(tmp_path, model, published):
    torch.save(dict(state_dict=published), tmp_path / "weights.pth")
    with pytest.raises(
        ValueError,
        match=r"weights\.pth: checkpoint of another architecture: .* DLANet; it holds "
        r"base\.base_layer\.0\.weight, .*fairmot2mm\.py",
    ):
        load_for_tracking(model, tmp_path / "weights.pth")


def spoilt(converted: dict, names: list[str]) -> dict:
    return {
        name: torch.zeros(2, 7) if name in names else value
        for name, value in converted.items()
    }


def test_first_tensors_that_do_not_fit_are_named(tmp_path, model, converted):
    names = [name for name in converted if name.endswith("conv.weight")][:5]
    assert names[0] == FIRST
    torch.save(spoilt(converted, names), tmp_path / "weights.pth")
    with pytest.raises(ValueError, match=r"weights\.pth does not fit") as caught:
        load_for_tracking(model, tmp_path / "weights.pth")
    message = str(caught.value)
    assert f"{FIRST} ((2, 7) in the file, (16, 3, 7, 7) in the model)" in message
    assert all(name in message for name in names[:3])
    assert not any(name in message for name in names[3:])


def test_missing_and_extra_tensors_are_named(tmp_path, model, converted):
    state = dict(converted, extra=torch.zeros(4))
    del state[FIRST]
    torch.save(state, tmp_path / "weights.pth")
    with pytest.raises(ValueError, match="does not fit the model") as caught:
        load_for_tracking(model, tmp_path / "weights.pth")
    missing = f"{FIRST} (absent in the file, (16, 3, 7, 7) in the model)"
    assert missing in str(caught.value)


@pytest.mark.parametrize("count", [1, 4])
def test_tensors_that_do_not_fit_are_counted(tmp_path, model, converted, count):
    names = [name for name in converted if name.endswith("conv.weight")][:count]
    torch.save(spoilt(converted, names), tmp_path / "weights.pth")
    with pytest.raises(ValueError, match="does not fit the model") as caught:
        load_for_tracking(model, tmp_path / "weights.pth")
    assert f"and {max(count - 3, 0)} more" in str(caught.value)
    assert "task_weighting" not in str(caught.value)
    assert "classifier" not in str(caught.value)


def run_converter(*arguments, tool="fairmot2mm.py") -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, CONVERTERS / tool, *arguments], capture_output=True, text=True
    )


def test_converter_writes_a_checkpoint(tmp_path, model, published, converted):
    source, target = tmp_path / "fairmot_dla34.pth", tmp_path / "new/folder/mm.pth"
    state = {f"module.{name}": value for name, value in published.items()}
    torch.save(dict(epoch=30, state_dict=state), source)
    done = run_converter(source, target, "--arch", "dla_34")
    assert done.returncode == 0, done.stderr
    left_out = len(published) - len(converted)
    assert f"{len(converted)} tensors converted" in done.stdout
    assert f"{left_out} left out" in done.stdout
    written = torch.load(target, weights_only=True)
    assert written["meta"]["arch"] == "dla_34"
    assert list(written["state_dict"]) == list(converted)
    load_for_tracking(model, target)
    assert_loaded(model, converted)


class Hostile:
    """Makes a folder when it is unpickled."""

    def __init__(self, folder):
        self.folder = str(folder)

    def __reduce__(self):
        return os.mkdir, (self.folder,)


@pytest.mark.parametrize("tool", ["fairmot2mm.py", "mm2fairmot.py"])
def test_converter_runs_no_code_of_the_file(tmp_path, tool):
    harm, source, target = (tmp_path / name for name in ("harm", "bad.pth", "mm.pth"))
    state = {"base.fc.weight": torch.zeros(1)}
    torch.save(dict(state_dict=state, optimizer=Hostile(harm)), source)
    done = run_converter(source, target, tool=tool)
    assert done.returncode == 2
    assert f"error: {source}: " in done.stderr
    assert "Traceback" not in done.stderr
    assert not harm.exists()
    assert not target.exists()
    # The file would have done it.
    torch.load(source, weights_only=False)
    assert harm.is_dir()


def test_left_out_is_what_no_forward_pass_uses(published, converted):
    shapes = json.loads(
        (Path(__file__).parents[1] / "data/checkpoint_keys_dla_34.json").read_text()
    )
    unused = {
        name
        for name in shapes
        if name.startswith(("base.level3.project.", "base.level4.project.", "base.fc."))
    }
    assert len(unused) == 12
    assert len(converted) == len(published) - len(unused)
