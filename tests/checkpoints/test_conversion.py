import json
import runpy
import sys
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.logging import HistoryBuffer
from mmengine.runner import load_checkpoint

from fairmot_mm.checkpoints.architectures import ARCHITECTURES
from fairmot_mm.checkpoints.conversion import (
    BACKBONE,
    DETECTOR,
    FAIRMOT,
    convert_published,
    publish,
)
from fairmot_mm.checkpoints.files import read_checkpoint
from fairmot_mm.registry import MODELS
from fairmot_mm.utils import load_for_tracking

DATA = Path(__file__).parents[1] / "data"
CONVERTERS = Path(__file__).parents[2] / "tools/model_converters"


def published(arch: str) -> OrderedDict:
    """Published names and shapes, one value per tensor: no room in a file."""
    shapes = json.loads((DATA / f"checkpoint_keys_{arch}.json").read_text())
    return OrderedDict(
        (
            name,
            torch.tensor(
                i, dtype=torch.long if name.endswith("tracked") else torch.float
            ).expand(shape),
        )
        for i, (name, shape) in enumerate(shapes.items())
    )


def imagenet(arch: str) -> OrderedDict:
    """Weights of the backbone alone, as the ImageNet files name them."""
    state = OrderedDict(
        (name.removeprefix("base."), value)
        for name, value in published(arch).items()
        if not name.startswith(("dla_up.", "ida_up.", "hm.", "wh.", "id.", "reg."))
        and not name.endswith("tracked")  # older than that counter
    )
    if arch.startswith("hrnet"):
        state["incre_modules.0.0.conv1.weight"] = torch.zeros(32, 18, 1, 1)
        state["classifier.weight"] = torch.zeros(1000, 2048)
        state["classifier.bias"] = torch.zeros(1000)
    else:
        state["fc.weight"] = torch.zeros(1000, 512, 1, 1)
        state["fc.bias"] = torch.zeros(1000)
    return state


def coco_detector() -> dict:
    """CenterNet's ctdet_coco_dla_2x: 80 classes, width and height, no embedding."""
    state = {k: v for k, v in published("dla_34").items() if not k.startswith("id.")}
    state["base.fc.weight"] = torch.zeros(1000, 512, 1, 1)
    state["base.fc.bias"] = torch.zeros(1000)
    state["hm.2.weight"], state["hm.2.bias"] = torch.ones(80, 256, 1, 1), torch.ones(80)
    state["wh.2.weight"], state["wh.2.bias"] = torch.ones(2, 256, 1, 1), torch.ones(2)
    return dict(epoch=230, state_dict=state)


def assert_same(given: dict, expected: dict) -> None:
    assert set(given) == set(expected)
    for name, value in expected.items():
        assert given[name].dtype == value.dtype
        assert torch.equal(given[name], value), name


@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_round_trip_changes_nothing(arch, tmp_path):
    source = published(arch)
    converted = convert_published(dict(epoch=30, state_dict=source, optimizer={}))
    assert (converted.arch, converted.kind) == (arch, FAIRMOT)
    assert converted.left_out == ["optimizer"]
    torch.save(converted.to_file(), tmp_path / "mm.pth")
    back, left_out = publish(read_checkpoint(tmp_path / "mm.pth"))
    assert back["epoch"] == 30
    assert left_out == []
    assert_same(back["state_dict"], source)


@pytest.mark.parametrize("prefix", ["", "module."])
@pytest.mark.parametrize("arch", ["dla_34", "hrnet_18"])
def test_classifier_goes_along(arch, prefix):
    source = published(arch)
    source["classifier.weight"] = torch.rand(7, 128)
    source["classifier.bias"] = torch.rand(7)
    source["s_det"], source["s_id"] = torch.rand(1), torch.rand(1)
    converted = convert_published({prefix + k: v for k, v in source.items()})
    assert torch.equal(
        converted.state_dict["reid_head.classifier.weight"], source["classifier.weight"]
    )
    back, _ = publish(converted.to_file())
    assert_same(back["state_dict"], source)


def test_what_training_writes_goes_to_the_published_code(tmp_path, run):
    config = Path(__file__).parents[2] / "configs/fairmot_yolov5s_mot17.py"
    cfg = Config.fromfile(config).model
    cfg.reid_head.num_ids = 5
    model = MODELS.build(cfg)
    checkpoint = dict(
        state_dict=model.state_dict(),
        meta=dict(epoch=3),
        message_hub=dict(loss=HistoryBuffer([np.float64(0.5)], [1])),
        optimizer=dict(param_groups=[dict(lr=1e-4)]),
    )
    torch.save(checkpoint, tmp_path / "epoch_3.pth")
    arguments = tmp_path / "epoch_3.pth", tmp_path / "back.pth"
    code, said = run("mm2fairmot.py", *arguments)
    assert code == 0, said
    back = read_checkpoint(tmp_path / "back.pth")
    assert back["epoch"] == 3
    expected = {k: v.shape for k, v in published("yolo").items()}
    classifier = {"classifier.weight": (5, 64), "classifier.bias": (5,)}
    assert {k: v.shape for k, v in back["state_dict"].items()} == expected | classifier


def test_several_classifiers_have_no_published_place():
    state = convert_published(published("yolo")).state_dict
    state["reid_head.classifier.0.weight"] = torch.zeros(3, 64)
    back, left_out = publish(dict(state_dict=state))
    assert left_out == ["reid_head.classifier.0.weight"]
    assert_same(back["state_dict"], published("yolo"))


def test_coco_detector_starts_the_training(model_cfg, tmp_path):
    checkpoint = coco_detector()
    converted = convert_published(checkpoint)
    assert (converted.arch, converted.kind) == ("dla_34", DETECTOR)
    torch.save(converted.to_file(), tmp_path / "coco.pth")
    model_cfg["reid_head"]["num_ids"] = 3
    model = MODELS.build(model_cfg)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    load_checkpoint(model, str(tmp_path / "coco.pth"))
    # As published: what is missing or of another shape stays, all else is taken over.
    for name, value in model.state_dict().items():
        given = converted.state_dict.get(name)
        fits = given is not None and given.shape == value.shape
        assert torch.equal(value, given if fits else before[name]), name
    kept = {k for k, v in model.state_dict().items() if torch.equal(v, before[k])}
    assert {name.rsplit(".", 2)[0] for name in kept} >= {"reid_head.branch"}
    assert "bbox_head.heatmap_branch.0.weight" not in kept
    with pytest.raises(ValueError, match=r"heatmap_branch\.2.*80, 256.*1, 256"):
        load_for_tracking(model, tmp_path / "coco.pth")
    back, _ = publish(read_checkpoint(tmp_path / "coco.pth"))
    assert back["epoch"] == 230
    assert_same(back["state_dict"], checkpoint["state_dict"])


@pytest.mark.parametrize(
    ("arch", "config"), [("dla_34", "dla34"), ("hrnet_18", "hrnetw18")]
)
def test_imagenet_weights_start_the_training(arch, config, tmp_path):
    source = imagenet(arch)
    converted = convert_published(source)
    assert converted.kind == BACKBONE
    assert len(converted.unused) == 2 + (1 if "hrnet" in arch else 10)
    assert not any("classifier" in name for name in converted.state_dict)
    torch.save(converted.to_file(), tmp_path / "imagenet.pth")
    config = Path(__file__).parents[2] / f"configs/fairmot_{config}_mot17.py"
    model = MODELS.build(Config.fromfile(config).model)
    load_checkpoint(model, str(tmp_path / "imagenet.pth"))
    for name, value in model.backbone.state_dict().items():
        if not name.endswith("tracked"):
            assert torch.equal(value, converted.state_dict[f"backbone.{name}"]), name
    back, _ = publish(read_checkpoint(tmp_path / "imagenet.pth"))
    assert_same(back, source)


def spoilt(change) -> dict:
    state = published("resdcn_18")
    change(state)
    return state


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda s: s.update({"layer1.0.conv1.weight": torch.zeros(2, 7)}),
            r"of resdcn_18: layer1\.0\.conv1\.weight \(\(2, 7\) in the file, expected "
            r"\(64, 64, 3, 3\)\) and 0 more",
        ),
        (lambda s: s.pop("bn1.bias"), r"bn1\.bias \(absent, expected \(64,\)\)"),
        (lambda s: s.update(extra=torch.zeros(1)), r"extra \(unknown to it\)"),
        (
            lambda s: [
                s.pop(f"wh.{i}.{p}") for i in (0, 2) for p in ("weight", "bias")
            ],
            r"wh\.0\.weight \(absent.*and 1 more",
        ),
        (
            lambda s: s.update({"hm.0.weight": torch.tensor(1.0)}),
            r"hm\.0\.weight \(\(\) in the file",
        ),
    ],
)
def test_first_tensors_that_do_not_fit_are_named(change, message):
    with pytest.raises(ValueError, match=message):
        convert_published(spoilt(change))


def test_wrong_architecture_is_named():
    with pytest.raises(ValueError, match=r"not a complete FairMOT checkpoint of yolo"):
        convert_published(published("resdcn_18"), "yolo")
    with pytest.raises(ValueError, match="choose one of dla_34"):
        convert_published(published("resdcn_18"), "dla34")
    with pytest.raises(ValueError, match=r"none of its tensors.*first a\.weight"):
        convert_published({"a.weight": torch.zeros(2)})
    with pytest.raises(ValueError, match="none of those that the reference"):
        publish(dict(state_dict={"backbone.a": torch.zeros(2)}))


@pytest.fixture
def run(monkeypatch, capsys) -> Callable:
    """A tool as it is called from the command line: exit code and what it said."""

    def call(tool: str, *arguments) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", [tool, *map(str, arguments)])
        with pytest.raises(SystemExit) as done:
            runpy.run_path(str(CONVERTERS / tool), run_name="__main__")
        return done.value.code, "".join(capsys.readouterr())

    return call


def test_tools_go_there_and_back(tmp_path, run):
    source = published("dla_34")
    torch.save(
        dict(
            epoch=30,
            state_dict={f"module.{k}": v for k, v in source.items()},
            optimizer=dict(lr=1e-4),
        ),
        tmp_path / "fairmot.pth",
    )
    code, said = run("fairmot2mm.py", tmp_path / "fairmot.pth", tmp_path / "mm.pth")
    assert code == 0, said
    assert "FairMOT checkpoint of dla_34, epoch 30" in said
    assert "base.level3.project (6)" in said
    assert "left out: optimizer" in said
    code, said = run("mm2fairmot.py", tmp_path / "mm.pth", tmp_path / "back.pth")
    assert code == 0, said
    back = torch.load(tmp_path / "back.pth", weights_only=True)
    assert back["epoch"] == 30
    assert_same(back["state_dict"], source)


def test_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="no checkpoint at"):
        read_checkpoint(tmp_path / "nowhere.pth")
