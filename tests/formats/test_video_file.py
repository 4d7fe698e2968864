import copy
from pathlib import Path

import cv2
import numpy as np
import pytest

from fairmot_mm.datasets import CheckedLoadImageFromFile
from fairmot_mm.formats.video_file import VideoFile, read_frame


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


class Capture:
    """A capture that says another number of frames, or refuses to seek."""

    claimed: float | None = None
    seeks = True
    grabbed = 0

    def __init__(self, path: str) -> None:
        self.real = REAL(path)

    def __getattr__(self, name: str):
        return getattr(self.real, name)

    def get(self, key: int) -> float:
        asked = key == cv2.CAP_PROP_FRAME_COUNT and self.claimed is not None
        return self.claimed if asked else self.real.get(key)

    def set(self, key: int, value: float) -> bool:
        return self.seeks and self.real.set(key, value)

    def grab(self) -> bool:
        Capture.grabbed += 1
        return self.real.grab()


REAL = cv2.VideoCapture


@pytest.fixture
def capture(monkeypatch):
    for name in ("claimed", "seeks", "grabbed"):
        monkeypatch.setattr(Capture, name, getattr(Capture, name))
    monkeypatch.setattr("cv2.VideoCapture", Capture)
    return Capture


@pytest.mark.parametrize("claimed", [-9.2e18, -1, 0, float("nan"), 60, 89, 91, 5000])
def test_frames_are_counted_where_the_file_is_wrong(clip, capture, claimed):
    capture.claimed = claimed
    video = VideoFile(str(clip))
    video.read(3)
    assert len(video) == 90
    # Counting leaves the reader where it was.
    np.testing.assert_array_equal(video.read(4), frames_in_order(clip)[4])
    counted = capture.grabbed
    assert len(video) == 90
    assert capture.grabbed == counted


def test_frames_are_not_counted_where_the_file_is_right(clip, capture):
    assert len(VideoFile(str(clip))) == 90
    assert capture.grabbed == 2


def test_a_video_that_was_cut_off_has_the_frames_that_are_left(clip, tmp_path):
    path = tmp_path / "clip.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 10, (64, 48))
    for frame in frames_in_order(clip):
        writer.write(frame)
    writer.release()
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    left = len(frames_in_order(path))
    assert 0 < left < 90
    video = VideoFile(str(path))
    assert len(video) == left
    video.read(left - 1)


def test_a_video_without_seeking_is_read_in_order_and_named(clip, capture):
    capture.seeks = False
    video = VideoFile(str(clip))
    assert len(video) == 90
    expected = frames_in_order(clip)
    np.testing.assert_array_equal(video.read(20), expected[20])
    with pytest.raises(OSError, match=r"clip\.mp4: cannot seek to frame 3; convert"):
        video.read(3)


def test_a_video_without_frames_is_named(clip, capture, monkeypatch):
    capture.claimed = 0
    monkeypatch.setattr(capture, "grab", lambda self: False)
    with pytest.raises(OSError, match=r"clip\.mp4: not a single frame"):
        len(VideoFile(str(clip)))


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
