import shutil
import subprocess
import sys
from contextlib import closing

import av
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
    ("name", "size", "expected"),
    [
        ("video.mp4", (64, 48), (64, 48)),
        ("video.mp4", (63, 47), (64, 48)),
        ("video.avi", (64, 48), (64, 48)),
        ("video.mkv", (64, 48), (64, 48)),
    ],
)
def test_video_reads_back(tmp_path, name, size, expected):
    path = tmp_path / "new" / name
    with closing(VideoWriter(path, 15)) as writer:
        for level in (0, 100, 200):
            writer.write(np.full((size[1], size[0], 3), level, np.uint8))
    frames = read_video(path)
    assert [image.shape[1::-1] for image in frames] == [expected] * 3
    np.testing.assert_allclose([f.mean() for f in frames], [0, 100, 200], atol=6)
    assert cv2.VideoCapture(str(path)).get(cv2.CAP_PROP_FPS) == 15


def test_video_frames_keep_their_size(tmp_path, frame):
    path = tmp_path / "video.mp4"
    with closing(VideoWriter(path, 15)) as writer:
        writer.write(frame)
        with pytest.raises(ValueError, match=r"video\.mp4.*\(159, 240, 3\)"):
            writer.write(frame[1:])


def test_unwritable_video_is_named(tmp_path, frame):
    path = tmp_path / "video.mp4"
    path.mkdir()
    with pytest.raises(OSError, match=r"video\.mp4"):
        VideoWriter(path, 15).write(frame)


@pytest.mark.parametrize("rate", [0, -1, 1000, 90000, float("nan")])
def test_frame_rates_that_no_camera_has_are_refused(tmp_path, rate):
    with pytest.raises(ValueError, match=rf"frame rate {rate}, expected 0\.01 to"):
        VideoWriter(tmp_path / "video.mp4", rate)


def test_frame_rate_of_many_digits(tmp_path, frame):
    path = tmp_path / "video.mp4"
    with closing(VideoWriter(path, 239.7612)) as writer:
        writer.write(frame)
    assert cv2.VideoCapture(str(path)).get(cv2.CAP_PROP_FPS) == pytest.approx(
        239.7612, abs=1e-3
    )


def test_video_is_finished_before_the_disk_is_full(tmp_path, frame, monkeypatch):
    path = tmp_path / "video.mp4"
    usage = shutil.disk_usage(tmp_path)
    with closing(VideoWriter(path, 15)) as writer:
        writer.write(frame)
        writer.write(frame)
        nearly_full = usage._replace(free=1 << 20)
        monkeypatch.setattr(shutil, "disk_usage", lambda _: nearly_full)
        with pytest.raises(OSError, match=r"ends after 2 frames: .*video\.mp4"):
            writer.write(frame)
    assert len(read_video(path)) == 2


WRITE_BEYOND_LIMIT = """
import resource, signal, sys
from contextlib import closing
import numpy as np
from fairmot_mm.streams import VideoWriter

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
noise = np.random.default_rng(0).integers(0, 255, (50, 160, 240, 3), np.uint8)
try:
    with closing(VideoWriter(sys.argv[1], 15)) as writer:
        for frame in noise:
            writer.write(frame)
except OSError as error:
    print(error)
"""


def test_video_that_could_not_be_written_is_named(tmp_path):
    path = tmp_path / "video.mp4"
    command = [sys.executable, "-c", WRITE_BEYOND_LIMIT, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "File too large" in done.stdout
    assert str(path) in done.stdout


def test_browsers_can_play_it(tmp_path, frame):
    path = tmp_path / "video.mp4"
    with closing(VideoWriter(path, 15)) as writer:
        writer.write(frame)
    with av.open(str(path)) as container:
        (video,) = container.streams.video
        assert (video.codec_context.name, video.pix_fmt) == ("h264", "yuv420p")


def test_unused_writer_leaves_no_file(tmp_path):
    with closing(VideoWriter(tmp_path / "video.mp4", 15)):
        pass
    assert not any(tmp_path.iterdir())
