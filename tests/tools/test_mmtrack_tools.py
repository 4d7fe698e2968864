"""configs/mmtrack through our tools, MMTracking's own and a plain runner."""

import importlib.util
import json
import math
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.registry import DATA_SAMPLERS, DATASETS, DefaultScope
from test_distributed_tools import DIST_TEST, DIST_TRAIN, PROCESSES, run_script
from test_train_and_test_tools import (
    ITERATIONS,
    LENGTHS,
    PLAIN_RUNNER,
    REPOSITORY,
    TEST,
    TRAIN,
    Command,
    load_checkpoint,
    optimizer_steps,
    run_tool,
    scalars,
    write_config,
)

import fairmot_mm.integrations.mmtrack  # noqa: F401  (makes mmtrack importable)
from fairmot_mm.formats.mot_results import read_results
from fairmot_mm.registry import MODELS

CONFIG = REPOSITORY / "configs/mmtrack/fairmot_dla34_mot17.py"
BRIDGE = "fairmot_mm.integrations.mmtrack"
OWN_TOOLS = Path(importlib.util.find_spec("mmtrack").origin).parent / ".mim/tools"

# The network of the other tools' tests: short, and with what the demo's config changes.
SMALL = """
_base_ = {base!r}
load = [dict(type='fairmot_mm.CheckedLoadImageFromFile')]
rate = [dict(type='fairmot_mm.LoadFrameRate')]
fit = [dict(type='fairmot_mm.Letterbox', size=(96, 64))]
annotations = [dict(type='LoadTrackAnnotations', with_instance_id=True)]
augment = [
    dict(type='fairmot_mm.RandomSaturationValue'),
    dict(type='fairmot_mm.RandomBoxAffine'),
    dict(type='mmdet.RandomFlip', prob=0.5),
]
pack = dict(
    type='PackTrackInputs',
    pack_single_img=True,
    meta_keys=('frame_rate', 'pad_param'))
train_dataloader = dict(
    batch_size=2,
    num_workers=0,
    persistent_workers=False,
    dataset=dict(
        data_root={data!r}, pipeline=[*load, *annotations, *fit, *augment, pack]))
test_dataloader = dict(
    num_workers=0,
    persistent_workers=False,
    dataset=dict(
        data_root={data!r}, pipeline=[*load, *rate, *fit, *annotations, pack]))
model = dict(
    backbone=dict(out_indices=(0, 1, 2, 3, 4)),
    neck=dict(in_channels=(16, 32, 64, 128, 256), end_level=4, use_dcn=False),
    bbox_head=dict(feat_channels=128),
    task_weighting=dict(
        _delete_=True, type='fairmot_mm.FixedWeighting', id_weight=0.1),
    reid_head=dict(num_ids={num_ids}),
    tracker=dict(obj_score_thr=0.05, min_box_area=0))
train_cfg = dict(max_epochs=1)
default_hooks = dict(logger=dict(interval=1))
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("mmtrack")


def prepare(folder, sequences):
    """Annotations of a folder of sequences by MMTracking's converter, and a config."""
    for split in ("train", "test"):
        (folder / split).mkdir(parents=True)
    for file in sequences.glob("*/seqinfo.ini"):
        (folder / "train" / file.parent.name).symlink_to(file.parent)
    outcome = run_tool(
        *(folder / "output", OWN_TOOLS / "dataset_converters/mot/mot2coco.py"),
        *("-i", folder, "-o", folder / "annotations"),
    )
    assert outcome.code == 0, outcome.stderr
    annotations = json.loads((folder / "annotations/train_cocoformat.json").read_text())
    num_ids = annotations["num_instances"]
    path = folder / "small.py"
    path.write_text(SMALL.format(base=str(CONFIG), data=str(folder), num_ids=num_ids))
    return path


@pytest.fixture(scope="module")
def config(folder, synthetic):
    return prepare(folder / "data", synthetic)


@pytest.fixture(scope="module")
def trained(folder, config):
    """One epoch in two processes."""
    work = folder / "trained"
    run_script(
        *(work / "output", DIST_TRAIN, config, PROCESSES, "--work-dir", work),
    )
    return work


@pytest.fixture(scope="module")
def checkpoint(trained):
    return trained / "epoch_1.pth"


@pytest.fixture(scope="module")
def tracked(folder, config, checkpoint):
    """Tracked in one process, with MMTracking's pictures and our videos."""
    work = folder / "tracked"
    draw = "default_hooks.visualization"
    outcome = run_tool(
        *(work / "output", TEST, config, checkpoint, "--work-dir", work),
        *("--out", work / "results", "--show-dir", work / "videos"),
        *("--cfg-options", f"{draw}.draw=True", f"{draw}.interval=1"),
        f"{draw}.test_out_dir=pictures",
    )
    assert outcome.code == 0, outcome.stderr
    return work


def figures(work):
    """What MMTracking's metric found."""
    (path,) = work.glob("*/*.json")
    found = Config.fromfile(path).to_dict()
    return {k: v for k, v in found.items() if k.startswith("motchallenge-metric/")}


def results(work):
    """Lines of the result files by sequence."""
    (path,) = work.glob("results/default-tracker")
    return {name: (path / f"{name}.txt").read_text() for name in LENGTHS}


def test_two_processes_train(trained, checkpoint):
    # Batches of two in each process, the last one filled up.
    steps = [entry["step"] for entry in scalars(trained)]
    assert steps == [*range(1, math.ceil(sum(LENGTHS.values()) / 4) + 1)]
    for entry in scalars(trained):
        assert np.isfinite([entry[k] for k in ("loss", "heatmap", "size", "id")]).all()
    assert optimizer_steps(load_checkpoint(checkpoint)) == {len(steps)}


def test_one_process_trains(tmp_path, config):
    outcome = run_tool(tmp_path, TRAIN, config, "--work-dir", tmp_path)
    assert outcome.code == 0, outcome.stderr
    assert [entry["step"] for entry in scalars(tmp_path)] == [*range(1, ITERATIONS + 1)]
    saved = load_checkpoint(tmp_path / "epoch_1.pth")["state_dict"]
    assert all(value.isfinite().all() for value in saved.values())


def test_tracks_are_scored_written_and_drawn(tracked):
    found = figures(tracked)
    assert {f"motchallenge-metric/{k}" for k in ("HOTA", "MOTA", "IDF1")} <= {*found}
    assert found["motchallenge-metric/FN"] + found["motchallenge-metric/TP"] > 0
    assert all(results(tracked).values())
    for name, length in LENGTHS.items():
        capture = cv2.VideoCapture(str(tracked / "videos" / f"{name}.mp4"))
        assert capture.get(cv2.CAP_PROP_FRAME_COUNT) == length
        capture.release()
    # Ground truth beside tracks.
    (pictures,) = tracked.glob("*/pictures")
    assert {p.name for p in pictures.iterdir()} == {
        f"00000{i}.jpg" for i in range(1, 7)
    }
    assert cv2.imread(str(pictures / "000006.jpg")).shape == (128, 2 * 192, 3)


def test_two_processes_track_like_one(folder, config, checkpoint, tracked):
    together = folder / "together"
    run_script(
        *(together / "output", DIST_TEST, config, checkpoint, PROCESSES),
        *("--work-dir", together, "--out", together / "results"),
    )
    assert results(together) == results(tracked)
    assert figures(together) == figures(tracked)


def test_mmdetections_way_gives_the_same_files(
    tmp_path, synthetic, checkpoint, tracked
):
    config = write_config(tmp_path / "small.py", synthetic)
    outcome = run_tool(
        *(tmp_path, TEST, config, checkpoint, "--work-dir", tmp_path / "work"),
        *("--out", tmp_path / "results"),
    )
    assert outcome.code == 0, outcome.stderr
    for name in LENGTHS:
        ours = read_results(tmp_path / "results" / f"{name}.txt")
        theirs = read_results(tracked / "results/default-tracker" / f"{name}.txt")
        ours, theirs = (rows[np.lexsort(rows[:, 1::-1].T)] for rows in (ours, theirs))
        np.testing.assert_array_equal(ours[:, :2], theirs[:, :2])
        # MMTracking writes three digits.
        np.testing.assert_allclose(ours[:, 2:7], theirs[:, 2:7], atol=1.1e-3)


class TestTheirTools:
    def test_training(self, tmp_path, config):
        outcome = run_tool(
            *(tmp_path, REPOSITORY / "fairmot_mm/integrations/mmtrack/__main__.py"),
            *("train.py", config, "--work-dir", tmp_path),
        )
        assert outcome.code == 0, outcome.stderr
        assert (tmp_path / "epoch_1.pth").is_file()

    def test_tracking(self, tmp_path, config, checkpoint, tracked):
        outcome = Command.start(
            *(tmp_path / "output", sys.executable, "-m", BRIDGE, OWN_TOOLS / "test.py"),
            *(config, "--checkpoint", checkpoint, "--work-dir", tmp_path),
            *("--cfg-options", f"test_evaluator.outfile_prefix={tmp_path}/results"),
        ).finish()
        assert outcome.code == 0, outcome.stderr
        for name in LENGTHS:
            ours, theirs = (
                read_results(folder / "results/default-tracker" / f"{name}.txt")
                for folder in (tracked, tmp_path)
            )
            np.testing.assert_array_equal(ours[:, :2], theirs[:, :2])
            # Their tool leaves the normalisation where it is: other roundings.
            np.testing.assert_allclose(ours[:, 2:7], theirs[:, 2:7], atol=0.02)

    def test_an_unknown_one(self, tmp_path):
        main = REPOSITORY / "fairmot_mm/integrations/mmtrack/__main__.py"
        outcome = run_tool(tmp_path, main, "trian.py")
        assert outcome.code == 2
        assert "error: no tool trian.py" in outcome.stderr

    def test_a_plain_runner(self, tmp_path, config):
        """Nothing but custom_imports names the plugin."""
        outcome = Command.start(
            *(tmp_path / "output", sys.executable, "-c", PLAIN_RUNNER),
            *(config, "--work-dir", tmp_path / "work"),
        ).finish()
        assert outcome.code == 0, outcome.stderr
        assert (tmp_path / "work" / "epoch_1.pth").is_file()


def track(cfg, scope, model):
    """Frames of a config's test data with their tracks, as its own data set has it."""
    tracks = {}
    with DefaultScope.overwrite_default_scope(scope), torch.no_grad():
        dataset = DATASETS.build(cfg.test_dataloader.dataset)
        sampler = DATA_SAMPLERS.build(
            cfg.test_dataloader.sampler, default_args=dict(dataset=dataset)
        )
        for index in sampler:
            (sample,) = model.test_step(pseudo_collate([dataset[index]]))
            frame = sample if scope == "mmtrack" else sample[0]
            tracks[Path(frame.img_path).parts[-3], frame.frame_id] = frame
    return tracks


@pytest.mark.parametrize(
    "data", ["synthetic", pytest.param("real_sequence", marks=pytest.mark.needs_shared)]
)
def test_same_weights_same_frames_same_tracks(data, tmp_path, request):
    root = request.getfixturevalue(data)
    root = root.parent if data == "real_sequence" else root
    theirs = Config.fromfile(prepare(tmp_path / "data", root))
    ours = Config.fromfile(write_config(tmp_path / "ours.py", root))
    torch.manual_seed(0)
    models = []
    for cfg, scope in ((ours, "fairmot_mm"), (theirs, "mmtrack")):
        cfg.model.tracker.obj_score_thr = 0.1
        cfg.model.reid_head.num_ids = None
        with DefaultScope.overwrite_default_scope(scope):
            models.append(MODELS.build(cfg.model).eval())
    models[1].load_state_dict(models[0].state_dict(), strict=True)
    expected = track(ours, "fairmot_mm", models[0])
    found = track(theirs, "mmtrack", models[1])

    assert found.keys() == expected.keys()
    assert len(found) == (8 if data == "real_sequence" else sum(LENGTHS.values()))
    for key, frame in expected.items():
        for part in ("pred_instances", "pred_track_instances"):
            given, wanted = found[key].get(part), frame.get(part)
            assert given.keys() == wanted.keys()
            for field, value in wanted.items():
                assert torch.equal(given[field], value), (key, part, field)
        assert found[key].metainfo["frame_rate"] == frame.metainfo["frame_rate"]
    followed = [len(frame.pred_track_instances) for frame in expected.values()]
    assert min(followed) > 0
