import copy
import threading

import numpy as np
import pytest
import torch
from mmengine.structures import InstanceData
from torch.testing import assert_close

from fairmot_mm.apis import inference_mot, init_model, track_video
from fairmot_mm.deployment import backends, open_exported
from fairmot_mm.deployment.metadata import Metadata
from fairmot_mm.registry import MODELS


@pytest.fixture(scope="module")
def model(exported):
    return init_model(None, exported, device="cpu")


def rows(path):
    return np.loadtxt(path, delimiter=",")


def test_finds_what_pytorch_finds(model, light, frame):
    found, expected = (
        inference_mot(m, frame, 0)[0].pred_instances for m in (model, light)
    )
    assert len(found) == len(expected) > 5
    assert_close(found.bboxes, expected.bboxes, atol=1e-2, rtol=0)
    assert_close(found.scores, expected.scores, atol=1e-4, rtol=0)
    assert_close(found.embeddings, expected.embeddings, atol=1e-3, rtol=0)
    assert torch.equal(found.labels, expected.labels)


def test_tracks_a_folder_as_pytorch_does(model, light, synthetic, tmp_path):
    folder = synthetic / "SYN-00/img1"
    for name, m in (("ours", light), ("exported", model)):
        assert track_video(m, folder, tmp_path / f"{name}.txt") == 6
    ours, exported = (rows(tmp_path / f"{name}.txt") for name in ("ours", "exported"))
    assert ours.shape == exported.shape
    assert np.abs(ours - exported).max() < 0.05


def embed_true_boxes(model, pytorch):
    boxes = torch.tensor([[10.0, 8, 30, 50], [60, 20, 80, 60], [900, 900, 950, 990]])
    image = torch.randint(0, 256, (1, 3, 64, 96), dtype=torch.uint8)
    meta = dict(ori_shape=(64, 96))
    truth, expected = InstanceData(bboxes=boxes), InstanceData(bboxes=boxes)
    model.predict_frame(image, meta, gt_instances=truth)
    pytorch.predict_frame(image.flip(1).float() / 255, [meta], gt_instances=expected)
    assert_close(truth.embeddings, expected.embeddings, atol=1e-3, rtol=0)
    assert not truth.embeddings[2].any()  # outside the image
    nobody = InstanceData(bboxes=torch.zeros(0, 4))
    model.predict_frame(image, meta, gt_instances=nobody)
    assert nobody.embeddings.shape == (0, expected.embeddings.shape[1])


def test_true_boxes_are_embedded_as_pytorch_does(model, light):
    embed_true_boxes(model, light)


def test_colours_are_read_in_the_true_boxes(coloured_file, coloured):
    embed_true_boxes(init_model(None, coloured_file, device="cpu"), coloured)


def test_peaks_that_score_too_low_are_left_out(model, frame):
    every = inference_mot(model, frame, 0)[0].pred_instances
    strict = copy.copy(model)
    for strict.min_score in (float(every.scores.median()), 1.0):
        found = inference_mot(strict, frame, 0)[0].pred_instances
        expected = every[every.scores > strict.min_score]
        assert len(found) == len(expected) < len(every)
        assert_close(found.bboxes, expected.bboxes, atol=1e-4, rtol=0)
        assert_close(found.embeddings, expected.embeddings, atol=1e-5, rtol=0)


def test_the_file_knows_its_model(exported, light_config):
    metadata = open_exported(exported).metadata
    assert metadata.input_size == "96x64"
    assert metadata.map_hw == (16, 24)
    assert metadata.classes == ("pedestrian",)
    assert metadata.precision == "float32"
    model = light_config.model.to_dict()
    assert metadata.config["model"]["tracker"] == model["tracker"]
    assert "train_dataloader" not in metadata.config


def test_several_threads_share_it(model, synthetic, tmp_path):
    sources = [synthetic / f"SYN-0{i}/img1" for i in range(3)]
    alone = []
    for i, source in enumerate(sources):
        track_video(model, source, tmp_path / f"alone{i}.txt")
        alone.append((tmp_path / f"alone{i}.txt").read_text())
    outputs = [tmp_path / f"together{i}.txt" for i in range(3)]
    threads = [
        threading.Thread(target=track_video, args=(model, *pair))
        for pair in zip(sources, outputs, strict=True)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [path.read_text() for path in outputs] == alone


def test_settings_may_be_overridden(exported):
    options = {"model.tracker.obj_score_thr": 0.77}
    model = init_model(None, exported, "cpu", cfg_options=options)
    assert model.tracker.obj_score_thr == 0.77


def test_another_size_is_refused(light_config, exported, frame):
    cfg = copy.deepcopy(light_config)
    cfg.test_dataloader.dataset.input_size = (128, 64)
    model = init_model(cfg, exported, device="cpu")
    with pytest.raises(ValueError, match=r"takes 96x64 pixels .*\(1, 3, 64, 128\)"):
        inference_mot(model, frame, 0)


def test_another_number_of_classes_is_refused(light_config, exported):
    cfg = copy.deepcopy(light_config)
    cfg.model.bbox_head.num_classes = 4
    with pytest.raises(ValueError, match=r"pedestrian, but .*num_classes.* is 4"):
        init_model(cfg, exported, device="cpu")


def test_is_not_trained(model):
    with pytest.raises(RuntimeError, match="was exported for tracking"):
        model(torch.zeros(1), [], mode="loss")


@pytest.mark.parametrize("name", ["model.onnx", "model.xml"])
def test_unreadable_files_are_named(tmp_path, name):
    path = tmp_path / name
    with pytest.raises(FileNotFoundError, match=name):
        open_exported(path)
    path.write_bytes(b"no model")
    with pytest.raises(ValueError, match=rf"{name}: unreadable"):
        open_exported(path)


def test_a_missing_run_time_names_its_extra(tmp_path, monkeypatch):
    def missing(name):
        raise ModuleNotFoundError(f"No module named {name!r}")

    monkeypatch.setattr(backends, "import_module", missing)
    for suffix, extra in (("onnx", "onnx"), ("xml", "openvino")):
        path = tmp_path / f"model.{suffix}"
        path.touch()
        with pytest.raises(ImportError, match=rf"pip install 'fairmot_mm\[{extra}\]'"):
            open_exported(path)


def test_a_file_of_other_inputs_is_refused(exported, monkeypatch):
    monkeypatch.setattr(backends, "INPUTS", ("frame", "cells"))
    with pytest.raises(ValueError, match=r"takes .*boxes.*: export the model again"):
        open_exported(exported)


def test_onnx_runtime_has_one_precision(exported):
    if exported.suffix == ".onnx":
        with pytest.raises(ValueError, match="--amp"):
            open_exported(exported, dtype=torch.bfloat16)
    else:
        assert open_exported(exported, dtype=torch.bfloat16)


METADATA = Metadata(
    config=dict(model=dict(type="FairMOT", tracker=dict(type="JDETracker"))),
    input_hw=(64, 96),
    map_hw=(16, 24),
    classes=("person",),
    precision="int8",
)


def test_metadata_survive_the_file():
    assert Metadata.from_strings(METADATA.to_strings(), "m.onnx") == METADATA


def test_foreign_and_damaged_metadata_are_refused():
    with pytest.raises(ValueError, match=r"m\.onnx: not exported by fairmot_mm"):
        Metadata.from_strings({}, "m.onnx")
    strings = METADATA.to_strings()
    for key, value in dict(input_size="96", config="dict(", classes="[").items():
        with pytest.raises(ValueError, match=r"m\.onnx: damaged metadata"):
            Metadata.from_strings(strings | {key: value}, "m.onnx")


@pytest.mark.parametrize("name", ["subprocess.Popen", "os.system", "mmdet.x.y", 3])
def test_a_file_names_registered_components_alone(name):
    strings = METADATA.to_strings() | dict(config=repr(dict(a=[dict(type=name)])))
    with pytest.raises(ValueError, match="none of this package or the toolboxes"):
        Metadata.from_strings(strings, "m.onnx")


def test_a_config_that_is_no_text_is_refused():
    config = dict(model=dict(type=MODELS))
    with pytest.raises(ValueError, match="cannot travel"):
        Metadata(config, (64, 96), (16, 24), ("person",), "int8").to_strings()
