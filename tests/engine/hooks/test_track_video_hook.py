import logging
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch
from mmdet.structures import DetDataSample, TrackDataSample
from mmengine.structures import InstanceData

from fairmot_mm.engine.hooks.track_video_hook import TrackVideoHook
from fairmot_mm.registry import HOOKS


@pytest.fixture
def runner():
    return SimpleNamespace(
        logger=logging.getLogger("test_track_video_hook"),
        visualizer=SimpleNamespace(dataset_meta={"classes": ("pedestrian",)}),
    )


@pytest.fixture
def images(tmp_path):
    """Three frames of each of two sequences, in MOTChallenge's layout."""
    paths = {}
    for name in ("A", "B"):
        folder = tmp_path / "data" / name / "img1"
        folder.mkdir(parents=True)
        paths[name] = [folder / f"{number:06d}.png" for number in (1, 2, 3)]
        for path in paths[name]:
            cv2.imwrite(str(path), np.full((48, 64, 3), 90, np.uint8))
    return paths


def make_output(*paths, first_frame=0, **metainfo):
    samples = []
    for frame_id, path in enumerate(paths, first_frame):
        sample = DetDataSample(
            metainfo=dict(img_path=str(path), frame_id=frame_id, **metainfo)
        )
        sample.pred_track_instances = InstanceData(
            bboxes=torch.tensor([[10.0, 20.0, 30.0, 40.0]]),
            scores=torch.tensor([0.9]),
            labels=torch.tensor([0]),
            instances_id=torch.tensor([4]),
        )
        samples.append(sample)
    output = TrackDataSample()
    output.video_data_samples = samples
    return [output]


def video_properties(path):
    capture = cv2.VideoCapture(str(path))
    keys = (
        cv2.CAP_PROP_FRAME_COUNT,
        cv2.CAP_PROP_FRAME_WIDTH,
        cv2.CAP_PROP_FRAME_HEIGHT,
        cv2.CAP_PROP_FPS,
    )
    return tuple(capture.get(key) for key in keys)


def test_is_registered(tmp_path):
    hook = HOOKS.build(dict(type="TrackVideoHook", out_dir=str(tmp_path)))
    assert isinstance(hook, TrackVideoHook)


def test_frame_by_frame(runner, images, tmp_path, caplog):
    hook = TrackVideoHook(str(tmp_path / "out"))
    for name in ("A", "B"):
        for index, path in enumerate(images[name]):
            output = make_output(
                path, first_frame=index, sequence_name=name, frame_rate=15
            )
            hook.after_test_iter(runner, index, {}, output)
    with caplog.at_level(logging.INFO):
        hook.after_test_epoch(runner)
    assert "A.mp4, B.mp4" in caplog.text
    assert str(tmp_path / "out") in caplog.text
    for name in ("A", "B"):
        properties = video_properties(tmp_path / "out" / f"{name}.mp4")
        assert properties == (3, 64, 48, 15)
        written = sorted(path.name for path in (tmp_path / "out" / name).iterdir())
        assert written == ["000001.jpg", "000002.jpg", "000003.jpg"]
    drawn = cv2.imread(str(tmp_path / "out" / "B" / "000001.jpg"))
    again = cv2.imread(str(tmp_path / "out" / "A" / "000001.jpg"))
    assert (drawn == again).all()  # frame number and trails began anew
    assert np.abs(drawn.astype(int) - 90).max() > 50


def test_whole_video_without_frames(runner, images, tmp_path):
    hook = TrackVideoHook(str(tmp_path / "out"), save_frames=False)
    hook.after_test_iter(runner, 0, {}, make_output(*images["A"]))
    hook.after_test_epoch(runner)
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["A.mp4"]
    assert video_properties(tmp_path / "out" / "A.mp4")[0] == 3


def test_nothing_tested_nothing_logged(runner, tmp_path, caplog):
    with caplog.at_level(logging.INFO):
        TrackVideoHook(str(tmp_path / "out")).after_test_epoch(runner)
    assert not caplog.text


def test_unreadable_image_is_named(runner, images, tmp_path):
    hook = TrackVideoHook(str(tmp_path / "out"))
    images["A"][0].write_text("no image")
    with pytest.raises(OSError, match=r"000001\.png"):
        hook.after_test_iter(runner, 0, {}, make_output(images["A"][0]))


def test_frames_of_a_video_file(runner, tmp_path):
    path = tmp_path / "walk.avi"
    size, codec = (64, 48), cv2.VideoWriter_fourcc(*"MJPG")
    writer = cv2.VideoWriter(str(path), codec, 15, size)
    for grey in (20, 200):
        writer.write(np.full((48, 64, 3), grey, np.uint8))
    writer.release()
    hook = TrackVideoHook(str(tmp_path / "out"))
    for index in (0, 1):
        metas = dict(sequence_name="walk", frame_index=index)
        hook.after_test_iter(
            runner, index, {}, make_output(path, first_frame=index, **metas)
        )
    hook.after_test_epoch(runner)
    corners = [
        cv2.imread(str(tmp_path / "out/walk" / name))[-1, -1, 0]
        for name in ("000001.jpg", "000002.jpg")
    ]
    assert np.abs(np.array(corners, int) - (20, 200)).max() < 10
