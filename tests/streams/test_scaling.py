from contextlib import closing

import cv2
import numpy as np
import pytest

from fairmot_mm.formats.images import read_image
from fairmot_mm.streams import VideoWriter, open_scaled, open_source
from fairmot_mm.structures.letterbox import letterbox

SIZE = (96, 64)


@pytest.fixture(scope="module")
def images(synthetic):
    return synthetic / "SYN-00/img1"


@pytest.fixture(scope="module")
def video(images, tmp_path_factory):
    path = tmp_path_factory.mktemp("video") / "in.mp4"
    with closing(VideoWriter(path, 12.5)) as writer:
        for image in sorted(images.iterdir()):
            # Four times as large: 768 x 512 letterboxed to 96 x 64.
            writer.write(cv2.resize(read_image(image), None, fx=4, fy=4))
    return path


def test_pixels_are_nearly_the_published_ones(video):
    rate, frames = open_scaled(video, SIZE, keep_frames=True)
    assert rate == 12.5
    frames = list(frames)
    _, expected = open_source(video)
    expected = list(expected)
    assert len(frames) == len(expected) == 6
    for found, frame in zip(frames, expected, strict=True):
        assert found.ori_shape == (512, 768)
        assert np.array_equal(found.frame, frame)  # FFmpeg in both
        published, *_ = letterbox(frame, SIZE)
        assert found.inputs.shape == published.shape == (64, 96, 3)
        difference = np.abs(found.inputs.astype(int) - published)
        assert difference.mean() < 2.5  # scaled by an eighth


def test_a_folder_is_scaled_too_and_frames_are_not_kept(images):
    rate, frames = open_scaled(images, SIZE)
    assert rate == 30
    first = next(frames)
    assert first.frame is None
    published, *_ = letterbox(read_image(images / "000001.jpg"), SIZE)
    assert np.abs(first.inputs.astype(int) - published).mean() < 2
    frames.close()


def test_the_border_is_the_published_one(images):
    _, frames = open_scaled(images, (160, 64))
    (inputs, _, _), *_ = frames
    assert (inputs[:, :32] == 128).all()
    assert (inputs[:, -32:] == 128).all()
    assert (inputs[:, 32:-32] != 128).any()


def test_what_is_no_video_is_named(tmp_path):
    with pytest.raises(OSError, match=r"unreadable video .*no\.mp4"):
        open_scaled(tmp_path / "no.mp4", SIZE)
    path = tmp_path / "text.mp4"
    path.write_text("no video")
    with pytest.raises(OSError, match=r"unreadable video .*text\.mp4"):
        open_scaled(path, SIZE)


def test_a_frame_rate_that_no_camera_has_is_refused(video):
    with pytest.raises(ValueError, match="frame rate 0"):
        open_scaled(video, SIZE, frame_rate=0)


def test_a_camera_that_does_not_answer_is_named_without_its_password():
    with pytest.raises(OSError, match=r"unreadable video rtsp://\*\*\*@127") as caught:
        open_scaled("rtsp://me:secret@127.0.0.1:9/street", SIZE)
    assert "secret" not in str(caught.value)
