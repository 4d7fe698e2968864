import copy
from pathlib import Path

import cv2
import numpy as np
import pytest

from fairmot_mm.datasets import CheckedLoadImageFromFile
from fairmot_mm.datasets.video_file import VideoFile, read_frame


def frames_in_order(path: Path) -> list[np.ndarray]:
    capture, frames = cv2.VideoCapture(str(path)), []
    while (read := capture.read())[0]:
        frames.append(read[1])
    return frames


@pytest.fixture
def clip(tmp_path) -> Path:
    path = tmp_path / "clip.mp4"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"mp4v"), 10, (64, 48))
    rng = np.random.default_rng(0)
    for _ in range(90):
        colour = rng.integers(0, 255, 3, np.uint8)
        writer.write(np.broadcast_to(colour, (48, 64, 3)).copy())
    writer.release()
    return path


def check_any_order(path: Path) -> None:
    expected = frames_in_order(path)
    video = VideoFile(str(path))
    assert len(video) == len(expected)
    assert video.size == expected[0].shape[1::-1]
    rng = np.random.default_rng(1)
    last = len(expected) - 1
    for index in [last, 0, 0, *rng.integers(0, len(expected), 12).tolist()]:
        np.testing.assert_array_equal(video.read(index), expected[index])


def test_frames_in_any_order_are_those_in_order(clip):
    check_any_order(clip)


def test_frames_of_a_real_clip(real_sequence):
    check_any_order(real_sequence.parent / "demo.mp4")


def test_what_cannot_be_read_is_named(clip, tmp_path):
    with pytest.raises(OSError, match="frame 90 of 90 cannot be decoded"):
        read_frame(str(clip), 90)
    assert read_frame(str(clip), 3).shape == (48, 64, 3)
    load = CheckedLoadImageFromFile()
    nothing = tmp_path / "nothing.mp4"
    with pytest.raises(
        OSError, match=r"unreadable image .*nothing\.mp4: unreadable vi"
    ):
        load(dict(img_path=str(nothing), frame_index=0))
    # Datasets with an open video are copied all the time.
    copy.deepcopy(load)
