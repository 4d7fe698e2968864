"""Any annotated source as videos to track, with ground truth in the samples."""

import cv2
import numpy as np
import pytest
from annotated_samples import (
    INPUT,
    WRITERS,
    Frames,
    make_mot_sequence,
    pipeline_of,
    sample,
    write_crowdhuman,
    write_jde,
)

from fairmot_mm.datasets import MOTVideoDataset
from fairmot_mm.formats import video_file
from fairmot_mm.registry import DATASETS

VISDRONE = [
    f"sequences/{name}/{number:07d}.jpg"
    for name in ("uav0000013_00000_v", "uav0000072_04488_v")
    for number in (1, 2, 3)
]


def build(source: dict, **kwargs):
    return DATASETS.build(
        dict(
            type="AnnotatedVideoDataset",
            source=source,
            pipeline=pipeline_of("test_pipeline"),
            **kwargs,
        )
    )


def frame_of(dataset, video: int, frame: int):
    (found,) = dataset[video, frame]["data_samples"].video_data_samples
    return found


@pytest.fixture
def visdrone(tmp_path) -> dict:
    root = sample("VisDrone", tmp_path, VISDRONE)
    return dict(type="VisDroneFrameDataset", data_root=str(root))


def test_frames_come_with_their_ground_truth_in_original_pixels(visdrone):
    dataset = build(visdrone)
    assert [dataset.get_len_per_video(i) for i in range(len(dataset))] == [3, 3]
    assert dataset.metainfo["classes"][3] == "car"
    assert dataset.metainfo["has_identities"]
    frame = frame_of(dataset, 0, 0)
    # 64 x 48 is enlarged for the network; the boxes are as they were written.
    assert dataset[0, 0]["inputs"].shape == (1, 3, *INPUT[::-1])
    assert frame.gt_instances.bboxes.tolist() == [[5, 6, 13, 22], [20, 20, 44, 32]]
    assert frame.gt_instances.labels.tolist() == [0, 3]
    assert frame.gt_instances.instances_ids.tolist() == [0, 1]
    assert frame.ignored_instances.bboxes.tolist() == [[50, 0, 64, 10]]
    later = frame_of(dataset, 0, 2)
    assert later.gt_instances.instances_ids.tolist() == [1, 2]
    # An identity is another one in the next sequence.
    assert frame_of(dataset, 1, 0).gt_instances.instances_ids.tolist() == [3, 4]
    empty = frame_of(dataset, 1, 1)
    assert empty.gt_instances.bboxes.shape == (0, 4)
    assert empty.ignored_instances.bboxes.shape == (0, 4)


def test_metas_are_those_of_other_videos(visdrone):
    frame = frame_of(build(visdrone, frame_rate=24.0, input_size=INPUT), 1, 2)
    expected = dict(
        frame_id=2,
        frame_number=3,
        frame_range=(1, 3),
        frame_rate=24.0,
        img_id=5,
        sequence_name="uav0000072_04488_v",
        video_id=1,
        video_length=1,
        ori_video_length=3,
        ori_shape=(48, 64),
    )
    assert {key: frame.metainfo.get(key) for key in expected} == expected
    assert "pad_param" in frame.metainfo
    images = build(visdrone).get_data_info(0)["images"]
    assert images[-1]["frame_number"] == 3
    assert images[-1]["gt_instances_ids"].tolist() == [1, 2]
    assert len([*images]) == 3
    assert "sequence_root" not in frame.metainfo


def test_whole_videos_can_be_packed(visdrone):
    packed = build(visdrone)[0]
    assert packed["inputs"].shape[0] == 3
    samples = packed["data_samples"].video_data_samples
    assert [len(frame.gt_instances) for frame in samples] == [2, 1, 2]


@pytest.fixture
def photos(tmp_path) -> Frames:
    (tmp_path / "taken").mkdir()
    images = [tmp_path / "taken" / f"{number:06d}.png" for number in range(2)]
    for image in images:
        assert cv2.imwrite(str(image), np.zeros((48, 64, 3), np.uint8))
    rows = np.array([[0, 7, 5, 6, 15, 26], [1, 7, 6, 6, 16, 26]])
    return Frames(images, (64, 48), rows)


@pytest.mark.parametrize("name", [name for name in WRITERS if name != "jde"])
def test_every_ordered_source_gives_videos(name, tmp_path, photos):
    dataset = build(WRITERS[name](photos, tmp_path))
    assert len(dataset) == 1
    found = [frame_of(dataset, 0, i).gt_instances for i in (0, 1)]
    assert [boxes.bboxes[0].tolist() for boxes in found] == [
        [5, 6, 15, 26],
        [6, 6, 16, 26],
    ]
    assert [boxes.instances_ids.tolist() for boxes in found] == [[0], [0]]


@pytest.mark.parametrize("write", [write_jde, write_crowdhuman])
def test_images_in_no_order_are_videos_of_one_frame(write, tmp_path, photos):
    dataset = build(write(photos, tmp_path))
    assert [dataset.get_len_per_video(i) for i in range(len(dataset))] == [1, 1]
    assert not dataset.metainfo["has_identities"]
    boxes = frame_of(dataset, 1, 0).gt_instances.bboxes
    np.testing.assert_allclose(boxes, [[6, 6, 16, 26]], atol=1e-4)


def test_a_mot_folder_is_a_source_too(tmp_path):
    make_mot_sequence(tmp_path, "A")
    dataset = build(dict(type="MOTFrameDataset", data_root=str(tmp_path)))
    assert frame_of(dataset, 0, 3).sequence_name == "A"


def test_videos_of_coco_bear_their_names(tmp_path, photos):
    source = WRITERS["coco"](photos, tmp_path)
    assert frame_of(build(source), 0, 0).sequence_name == "SET"
    path = tmp_path / "train.json"
    text = path.read_text()
    path.write_text(text.replace('"name": "SET"', '"name": "day/SET"'))
    assert frame_of(build(source), 0, 0).sequence_name == "day-SET"
    path.write_text(text.replace(', "name": "SET"', ""))
    assert frame_of(build(source), 0, 0).sequence_name == "video-1"
    path.write_text(text.replace('"name": "SET"', '"name": ".."'))
    with pytest.raises(ValueError, match=r"sequence '\.\.': expected names"):
        build(source)
    path.write_text(text.replace('"name": "SET"', '"name": 3'))
    with pytest.raises(ValueError, match=r"train\.json: videos: expected a list"):
        build(source)


@pytest.fixture
def footage(tmp_path) -> dict:
    writer = cv2.VideoWriter(
        str(tmp_path / "walk.avi"), cv2.VideoWriter_fourcc(*"MJPG"), 12.5, (64, 48)
    )
    for number in range(40):
        writer.write(np.full((48, 64, 3), 5 * number, np.uint8))
    writer.release()
    (tmp_path / "walk.csv").write_text("frame,id,x,y,w,h\n1,4,5,6,10,20\n40,,1,1,9,9\n")
    return dict(
        type="FootageFrameDataset",
        data_root=str(tmp_path),
        ann_file="walk.csv",
        frames="walk.avi",
    )


def test_footage_is_read_in_order_without_reopening(footage, monkeypatch):
    dataset = build(footage)
    opened, capture = [], cv2.VideoCapture

    def open_video(*arguments) -> cv2.VideoCapture:
        opened.append(arguments)
        return capture(*arguments)

    monkeypatch.setattr(video_file.cv2, "VideoCapture", open_video)
    video_file._opened.cache_clear()
    for number in range(40):
        packed = dataset[0, number]
        assert abs(packed["inputs"][0, :, 32, 48].float().mean() - 5 * number) < 3
    assert len(opened) == 1
    (frame,) = packed["data_samples"].video_data_samples
    assert frame.gt_instances.instances_ids.tolist() == [-1]
    assert frame.frame_rate == 12.5
    assert frame.frame_index == 39
    assert frame.sequence_name == "walk"


def test_mot_folders_give_ground_truth_if_asked_for(tmp_path):
    make_mot_sequence(tmp_path, "A")
    make_mot_sequence(tmp_path, "B")
    pipeline = pipeline_of("test_pipeline")
    dataset = MOTVideoDataset(str(tmp_path), pipeline=pipeline, with_ground_truth=True)
    frame = frame_of(dataset, 0, 0)
    assert frame.gt_instances.bboxes.tolist() == [[5, 6, 25, 36], [-4.5, 2, 5.5, 22]]
    assert frame.gt_instances.labels.tolist() == [0, 0]
    assert frame.ignored_instances.bboxes.shape == (0, 4)
    assert frame_of(dataset, 0, 1).gt_instances.bboxes.shape == (0, 4)
    third = frame_of(dataset, 0, 2)
    assert third.gt_instances.bboxes.tolist() == [[0, 2, 10, 22]]
    assert third.ignored_instances.bboxes.tolist() == [[2, 2, 7, 11]]
    ids = [frame_of(dataset, i, 3).gt_instances.instances_ids.item() for i in (0, 1)]
    assert ids[0] != ids[1]
    half = MOTVideoDataset(
        str(tmp_path), half="second", pipeline=pipeline, with_ground_truth=True
    )
    assert len(frame_of(half, 0, 0).ignored_instances) == 1
    without = MOTVideoDataset(str(tmp_path), pipeline=pipeline)
    assert "bboxes" not in frame_of(without, 0, 0).gt_instances
    with pytest.raises(ValueError, match="no pedestrian in metainfo"):
        MOTVideoDataset(
            str(tmp_path), metainfo=dict(classes=("car",)), with_ground_truth=True
        )
