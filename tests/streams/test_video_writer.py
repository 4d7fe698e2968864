import cv2
import numpy as np
import pytest

from fairmot_mm.streams import VideoWriter


@pytest.fixture
def frame():
    return np.full((160, 240, 3), 90, np.uint8)


def read_video(path):
    capture = cv2.VideoCapture(str(path))
    frames = []
    while True:
        found, image = capture.read()
        if not found:
            return frames
        frames.append(image)


@pytest.mark.parametrize(
    ("size", "expected"), [((64, 48), (64, 48)), ((63, 47), (64, 48))]
)
def test_video_reads_back(tmp_path, size, expected):
    path = tmp_path / "new" / "video.mp4"
    with VideoWriter(path, 15) as writer:
        for level in (0, 100, 200):
            writer.write(np.full((size[1], size[0], 3), level, np.uint8))
    frames = read_video(path)
    assert [image.shape[1::-1] for image in frames] == [expected] * 3
    np.testing.assert_allclose([f.mean() for f in frames], [0, 100, 200], atol=6)
    assert cv2.VideoCapture(str(path)).get(cv2.CAP_PROP_FPS) == 15


def test_video_frames_keep_their_size(tmp_path, frame):
    path = tmp_path / "video.mp4"
    with VideoWriter(path, 15) as writer:
        writer.write(frame)
        with pytest.raises(ValueError, match=r"video\.mp4.*\(159, 240, 3\)"):
            writer.write(frame[1:])


def test_unwritable_video_is_named(tmp_path, frame):
    path = tmp_path / "video.mp4"
    path.mkdir()
    with pytest.raises(OSError, match=r"video\.mp4"):
        VideoWriter(path, 15).write(frame)


def test_frame_rate_is_checked(tmp_path):
    with pytest.raises(ValueError, match="frame_rate"):
        VideoWriter(tmp_path / "video.mp4", 0)


def test_unused_writer_leaves_no_file(tmp_path):
    with VideoWriter(tmp_path / "video.mp4", 15):
        pass
    assert not any(tmp_path.iterdir())
