import copy
import struct
from pathlib import Path

import cv2
import numpy as np
import pytest

from fairmot_mm.datasets import CheckedLoadImageFromFile
from fairmot_mm.formats import video_file
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


def with_varying_rate(mp4: bytes, gaps: np.ndarray) -> bytes:
    """Other times between the frames of an mp4 of OpenCV, whose index comes last."""
    rows = np.column_stack((np.ones_like(gaps), gaps)).astype(">u4").tobytes()
    table = struct.pack(">I4sII", 16 + len(rows), b"stts", 0, len(gaps)) + rows
    start = mp4.rindex(b"stts") - 4
    (size,) = struct.unpack_from(">I", mp4, start)
    content = bytearray(mp4.replace(b"edts", b"free"))
    content[start : start + size] = table
    for box in (b"moov", b"trak", b"mdia", b"minf", b"stbl"):
        place = content.rindex(box) - 4
        (old,) = struct.unpack_from(">I", content, place)
        struct.pack_into(">I", content, place, old + len(table) - size)
    return bytes(content)


@pytest.fixture
def varying(clip) -> Path:
    """The clip with 25, 50 or 200 milliseconds between its frames."""
    gaps = np.random.default_rng(2).choice([256, 512, 2048], 90)
    path = clip.with_name("varying.mp4")
    path.write_bytes(with_varying_rate(clip.read_bytes(), gaps))
    return path


def test_frames_of_a_varying_rate(varying, clip):
    assert len(frames_in_order(varying)) == 90
    check_any_order(varying)
    gaps = VideoFile(str(varying)).frame_gaps
    assert set(gaps.round().tolist()) == {25, 50, 200}
    np.testing.assert_allclose(VideoFile(str(clip)).frame_gaps, 100)


def test_a_seek_that_lands_too_late_is_repeated_from_before(clip, capture):
    capture.late = 300
    check_any_order(clip)
    capture.late = 1e6
    check_any_order(clip)


def test_twenty_shuffled_videos_stay_open(clip, monkeypatch):
    paths = []
    for number in range(20):
        paths.append(str(clip.with_name(f"{number}.mp4")))
        Path(paths[-1]).write_bytes(clip.read_bytes())
    opened = []
    open_video = video_file.VideoFile
    monkeypatch.setattr(
        video_file, "VideoFile", lambda path: opened.append(path) or open_video(path)
    )
    for index in np.random.default_rng(0).integers(0, 20, 200).tolist():
        read_frame(paths[index], 0)
    assert sorted(opened) == sorted(paths)


class Capture:
    """A capture that seeks too late, or does not read without decoding."""

    late = 0.0
    raw = True
    grabbed = 0

    def __init__(self, path: str, *options: object) -> None:
        self.real = REAL(path, *options)

    def __getattr__(self, name: str):
        return getattr(self.real, name)

    def set(self, key: int, value: float) -> bool:
        if key == cv2.CAP_PROP_FORMAT:
            return self.raw and self.real.set(key, value)
        return self.real.set(key, value + self.late)

    def grab(self) -> bool:
        Capture.grabbed += 1
        return self.real.grab()


REAL = cv2.VideoCapture


@pytest.fixture
def capture(monkeypatch):
    for name in ("late", "raw", "grabbed"):
        monkeypatch.setattr(Capture, name, getattr(Capture, name))
    monkeypatch.setattr("cv2.VideoCapture", Capture)
    return Capture


@pytest.mark.parametrize("raw", [True, False])
def test_frames_are_counted_once(clip, capture, raw):
    capture.raw = raw
    video = VideoFile(str(clip))
    counted = capture.grabbed
    assert len(video) == len(VideoFile(str(clip))) == 90
    assert capture.grabbed == counted
    np.testing.assert_array_equal(video.read(4), frames_in_order(clip)[4])


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


def test_a_video_without_timestamps_is_read_in_order_and_named(
    clip, capture, monkeypatch
):
    monkeypatch.setattr(video_file, "_SEEK_BACK", (0, 32))
    monkeypatch.setattr(capture, "get", lambda self, key: 0.0, raising=False)
    video = VideoFile(str(clip))
    assert len(video) == 90
    expected = frames_in_order(clip)
    for index in (20, 3, 35, 67):
        np.testing.assert_array_equal(video.read(index), expected[index])
    with pytest.raises(OSError, match=r"clip\.mp4: cannot seek to frame 34; convert"):
        video.read(34)


def test_a_video_without_frames_is_named(clip, capture, monkeypatch):
    monkeypatch.setattr(capture, "grab", lambda self: False)
    with pytest.raises(OSError, match=r"clip\.mp4: not a single frame"):
        VideoFile(str(clip))


def test_what_cannot_be_read_is_named(clip, tmp_path):
    with pytest.raises(OSError, match=r"clip\.mp4: frame 90 of 90 cannot be decoded"):
        read_frame(str(clip), 90)
    assert read_frame(str(clip), 3).shape == (48, 64, 3)
    load = CheckedLoadImageFromFile()
    nothing = tmp_path / "nothing.mp4"
    with pytest.raises(OSError, match=r"unreadable video .*nothing\.mp4: missing"):
        load(dict(img_path=str(nothing), frame_index=0))
    # Datasets with an open video are copied all the time.
    copy.deepcopy(load)
