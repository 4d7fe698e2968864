import pytest
from annotated_samples import INPUT, make_mot_sequence, pipeline_of
from mmdet.structures import TrackDataSample

from fairmot_mm.datasets import MOTVideoDataset


def test_videos_know_their_frames(tmp_path):
    make_mot_sequence(tmp_path, "A", gt=None)
    make_mot_sequence(tmp_path, "B", gt=None, frames=3)
    dataset = MOTVideoDataset(str(tmp_path))
    videos = [dataset.get_data_info(i) for i in range(len(dataset))]
    assert [video["video_length"] for video in videos] == [4, 3]
    assert [video["video_id"] for video in videos] == [0, 1]
    assert videos[1]["images"][2] == dict(
        img_path=str(tmp_path / "B/img1/000003.jpg"),
        img_id=6,
        frame_id=2,
        frame_number=3,
        frame_rate=25.0,
        frame_range=(1, 3),
        sequence_name="B",
        sequence_root=str(tmp_path / "B"),
    )
    img_ids = [image["img_id"] for video in videos for image in video["images"]]
    assert img_ids == list(range(7))
    assert [dataset.get_len_per_video(i) for i in range(2)] == [4, 3]


def test_second_half_of_a_video_starts_at_frame_id_zero(tmp_path):
    make_mot_sequence(tmp_path, gt=None, frames=5)
    dataset = MOTVideoDataset(str(tmp_path), half="second")
    metas = [
        (frame["frame_id"], frame["frame_number"], frame["frame_range"])
        for frame in dataset.get_data_info(0)["images"]
    ]
    assert metas == [(0, 3, (3, 5)), (1, 4, (3, 5)), (2, 5, (3, 5))]


def test_packed_frame_of_a_video(tmp_path):
    make_mot_sequence(tmp_path, "A", gt=None)
    make_mot_sequence(tmp_path, "B", gt=None, frames=3)
    dataset = MOTVideoDataset(str(tmp_path), pipeline=pipeline_of("test_pipeline"))
    packed = dataset[1, 2]
    assert packed["inputs"].shape == (1, 3, *INPUT[::-1])
    assert isinstance(packed["data_samples"], TrackDataSample)
    (frame,) = packed["data_samples"].video_data_samples
    expected = dict(
        img_path=str(tmp_path / "B/img1/000003.jpg"),
        img_id=6,
        frame_id=2,
        frame_number=3,
        frame_rate=25.0,
        frame_range=(1, 3),
        sequence_name="B",
        sequence_root=str(tmp_path / "B"),
        video_id=1,
        video_length=1,
        ori_video_length=3,
        ori_shape=(48, 64),
        img_shape=INPUT[::-1],
    )
    assert {key: frame.metainfo.get(key) for key in expected} == expected
    # 64 x 48 fits 96 x 64 at 4/3, with a border of (96 - 85) / 2 left and right.
    assert frame.scale_factor == pytest.approx((4 / 3, 4 / 3))
    image = packed["inputs"][0].permute(1, 2, 0).numpy()
    assert (abs(image[:, 6:-6].astype(int) - 60) <= 3).all()
    assert (abs(image[:, :5].astype(float) - 127.5) <= 0.5).all()


def test_packed_video(tmp_path):
    make_mot_sequence(tmp_path, gt=None)
    dataset = MOTVideoDataset(str(tmp_path), pipeline=pipeline_of("test_pipeline"))
    packed = dataset[0]
    assert packed["inputs"].shape == (4, 3, *INPUT[::-1])
    frames = packed["data_samples"].video_data_samples
    assert [frame.frame_id for frame in frames] == [0, 1, 2, 3]
    assert [frame.frame_number for frame in frames] == [1, 2, 3, 4]
