"""Data sets of other formats, tracked and scored by class through tools/test.py."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from annotated_samples import Frames, read_mot, write_crowdhuman
from annotated_samples import write_kitti as write_pedestrians_of_kitti
from annotated_samples import write_visdrone as write_pedestrians_of_visdrone
from mmengine.config import Config
from test_train_and_test_tools import REPOSITORY, TEST, figures, run_tool

from fairmot_mm.registry import MODELS

CONFIG = """
_base_ = {base!r}
test_dataloader = dict(
    num_workers={workers},
    persistent_workers=False,
    dataset=dict(
        _delete_=True,
        type="AnnotatedVideoDataset",
        source={source!r},
        input_size=(96, 64),
        pipeline={{{{_base_.test_pipeline}}}},
    ),
)
test_evaluator = [dict(type="MOTMetric"), dict(type="DetectionMetric")]
model = dict(
    backbone=dict(out_indices=(0, 1, 2, 3, 4)),
    neck=dict(in_channels=(16, 32, 64, 128, 256), end_level=4),
    bbox_head=dict(num_classes=2),
    tracker=dict(obj_score_thr=0.0, min_box_area=0, max_aspect_ratio=None),
)
"""
SIZE = (192, 128)


def is_second(rows: np.ndarray) -> np.ndarray:
    """Every second identity is of the second class."""
    return rows[:, 1] % 2 == 0


def replace_second(path: Path, frames: Frames, old: str, new: str) -> None:
    lines = path.read_text().splitlines()
    for row in np.flatnonzero(is_second(frames.rows)):
        assert old in lines[row]
        lines[row] = lines[row].replace(old, new)
    path.write_text("\n".join(lines))


def write_visdrone(frames: Frames, root: Path) -> dict:
    source = write_pedestrians_of_visdrone(frames, root)
    path = root / "annotations/uav01.txt"
    replace_second(path, frames, ",1,1,0,0", ",1,4,0,0")
    # A region in the upper left, which is ignored.
    path.write_text(f"{path.read_text()}\n1,0,0,0,96,64,0,0,0,0\n")
    return source | dict(metainfo=dict(classes=("pedestrian", "car")))


def write_kitti(frames: Frames, root: Path) -> dict:
    source = write_pedestrians_of_kitti(frames, root)
    replace_second(root / "label_02/0000.txt", frames, "Pedestrian", "Car")
    return source | dict(metainfo=dict(classes=("Pedestrian", "Car")))


def write_footage(frames: Frames, root: Path) -> dict:
    video = cv2.VideoWriter(
        str(root / "walk.avi"), cv2.VideoWriter_fourcc(*"MJPG"), 12, SIZE
    )
    for image in frames.images:
        video.write(cv2.imread(str(image)))
    video.release()
    lines = (
        f"{frame + 1:.0f},{i:.0f},{x1},{y1},{x2},{y2},{'robot' if second else 'person'}"
        for (frame, i, x1, y1, x2, y2), second in zip(
            frames.rows.tolist(), is_second(frames.rows), strict=True
        )
    )
    (root / "walk.csv").write_text("\n".join(("frame,id,x1,y1,x2,y2,class", *lines)))
    return dict(
        type="FootageFrameDataset",
        data_root=str(root),
        ann_file="walk.csv",
        frames="walk.avi",
        metainfo=dict(classes=("person", "robot")),
    )


SOURCES = {
    "uav01": (write_visdrone, ("pedestrian", "car")),
    "0000": (write_kitti, ("Pedestrian", "Car")),
    "walk": (write_footage, ("person", "robot")),
}


@pytest.fixture(scope="module")
def frames(synthetic) -> Frames:
    return read_mot(synthetic / "SYN-00", SIZE)


def write_config(path: Path, source: dict, workers: int = 0) -> Path:
    base = str(REPOSITORY / "configs" / "fairmot_dla34_demo.py")
    path.write_text(CONFIG.format(base=base, source=source, workers=workers))
    return path


def save_network(config: Path, path: Path) -> Path:
    torch.manual_seed(3)
    model = MODELS.build(Config.fromfile(config).model)
    torch.save(dict(state_dict=model.state_dict()), path)
    return path


@pytest.mark.parametrize("name", SOURCES)
def test_every_class_gets_its_figures(name, frames, tmp_path):
    write, classes = SOURCES[name]
    config = write_config(tmp_path / "any.py", write(frames, tmp_path), workers=1)
    checkpoint = save_network(config, tmp_path / "network.pth")
    work, out = tmp_path / "work", tmp_path / "results"
    outcome = run_tool(
        tmp_path / "output",
        *(TEST, config, checkpoint, "--work-dir", work),
        *("--out", out, "--show-dir", tmp_path / "videos"),
    )
    assert outcome.code == 0, outcome.stderr
    found = figures(work)
    second = is_second(frames.rows).sum()
    counts = (len(frames.rows) - second, second)
    for class_name, boxes in zip(classes, counts, strict=True):
        wrong = sum(found[f"mot/{class_name}/{key}"] for key in ("FP", "FN", "IDSW"))
        assert boxes > 0
        assert found[f"mot/{class_name}/MOTA"] == pytest.approx(1 - wrong / boxes)
        assert 0 <= found[f"mot/motmetrics/{class_name}/IDF1"] <= 1
    assert found["mot/class_averaged/MOTA"] == pytest.approx(
        np.mean([found[f"mot/{class_name}/MOTA"] for class_name in classes])
    )
    assert 0 <= found["mot/detection_averaged/HOTA"] <= 1
    (path,) = work.glob("*/*.json")
    assert 0 <= json.loads(path.read_text())["det/AP"] <= 1
    rows = np.loadtxt(out / f"{name}.txt", delimiter=",", ndmin=2)
    assert set(rows[:, 7]) <= {1, 2}
    assert set(rows[:, 0]) <= set(range(1, 7))
    assert len([*(tmp_path / "videos" / name).iterdir()]) == 6


def test_single_images_are_refused_before_tracking(frames, tmp_path):
    source = write_crowdhuman(frames, tmp_path)
    config = write_config(tmp_path / "any.py", source)
    checkpoint = save_network(config, tmp_path / "network.pth")
    outcome = run_tool(
        tmp_path / "output", TEST, config, checkpoint, "--work-dir", tmp_path / "work"
    )
    assert outcome.code == 2
    assert "annotation_train.odgt: no identities that go on" in outcome.stderr
    assert "dict(type='DetectionMetric')" in outcome.stderr
    assert "Epoch(test)" not in outcome.stdout
