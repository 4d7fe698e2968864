import logging
import socket
import threading
import time

import av
import cv2
import numpy as np
import pytest
from camera import RATE, Camera, encode
from mmengine.logging import MMLogger

from fairmot_mm.formats.images import write_image
from fairmot_mm.streams import (
    StreamLost,
    StreamReader,
    StreamSettings,
    open_source,
    open_stream,
)

HOLD = 30.0  # longer than any test


@pytest.fixture
def camera():
    cameras = []

    def start(*scripts):
        cameras.append(Camera(*scripts))
        return cameras[-1]

    yield start
    for started in cameras:
        started.close()


@pytest.fixture
def warnings():
    """Texts of the warnings logged."""
    texts = []
    handler = logging.Handler(logging.WARNING)
    handler.emit = lambda record: texts.append(record.getMessage())
    logger = MMLogger.get_current_instance()
    level = logger.level
    logger.setLevel(logging.WARNING)  # whatever was tested before
    logger.addHandler(handler)
    yield texts
    logger.removeHandler(handler)
    logger.setLevel(level)


@pytest.fixture(scope="module")
def mp4(tmp_path_factory):
    path = tmp_path_factory.mktemp("video") / "in.mp4"
    rng = np.random.default_rng(0)
    with av.open(path, "w", options={"movflags": "faststart"}) as container:
        stream = container.add_stream("libx264", rate=RATE)
        stream.width, stream.height, stream.pix_fmt = 160, 96, "yuv420p"
        stream.codec_context.colorspace = 1  # BT.709
        for _ in range(20):
            image = cv2.resize(
                rng.integers(256, size=(12, 20, 3), dtype="u1"), (160, 96)
            )
            frame = av.VideoFrame.from_ndarray(image, format="bgr24")
            frame.colorspace = 1
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def wait_for(condition, seconds=15):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.01)


def read(address, **settings):
    """Frames, what ended them, and the stream."""
    stream, frames = open_stream(address, StreamSettings(**settings)), []
    try:
        for frame in stream:
            frames.append(frame)
    except StreamLost as error:
        return frames, error, stream
    return frames, None, stream


def rises(frames):
    return bool((np.diff([frame.time for frame in frames]) > 0).all())


def brightness(frames):
    """Numbers that :func:`encode` drew."""
    return [round(float(frame.image.mean()) / 10) for frame in frames]


def test_pixels_of_a_file_are_those_of_opencv(mp4):
    rate, frames = open_source(mp4)
    capture = cv2.VideoCapture(str(mp4))
    assert rate == RATE
    for frame in frames:
        assert np.array_equal(frame, capture.read()[1])
    assert not capture.read()[0]


def test_times_of_a_file_are_its_own_and_every_nth_keeps_them(mp4, warnings):
    stream = open_stream(mp4, StreamSettings(every=3))
    assert not stream.live
    assert stream.frame_rate == pytest.approx(RATE / 3)
    frames = list(stream)
    assert [frame.number for frame in frames] == [0, 3, 6, 9, 12, 15, 18]
    found = [frame.time for frame in frames]
    assert found == pytest.approx([i / RATE for i in range(0, 20, 3)])
    assert warnings == []


def test_a_folder_takes_its_times_from_the_frame_rate(tmp_path):
    for i in range(3):
        write_image(tmp_path / f"{i}.png", np.full((8, 8, 3), i, np.uint8))
    frames, _, stream = read(tmp_path, frame_rate=10)
    assert not stream.live
    assert [frame.time for frame in frames] == pytest.approx([0, 0.1, 0.2])
    assert [frame.image[0, 0, 0] for frame in frames] == [0, 1, 2]
    with pytest.raises(ValueError, match="no image in"):
        (tmp_path / "empty").mkdir()
        open_stream(tmp_path / "empty")


def test_a_file_that_was_cut_off_is_reported(mp4, tmp_path, warnings):
    content = mp4.read_bytes()
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(content[: int(len(content) * 0.7)])
    frames, _, _ = read(cut)
    assert 0 < len(frames) < 20
    (text,) = warnings
    assert f"{cut}: ended after {len(frames)} of 20 announced frames" in text


def test_a_cut_transport_stream_gives_what_it_has(tmp_path):
    content = encode(range(20))
    path = tmp_path / "cut.ts"
    path.write_bytes(content[: int(len(content) * 0.7)])
    frames, _, _ = read(path)
    assert 5 < len(frames) < 20
    assert rises(frames)


def test_damaged_packets_are_passed_over(tmp_path):
    content = bytearray(encode(range(40), size=(320, 240)))
    middle = len(content) // 2 // 188 * 188
    content[middle : middle + 188 * 5] = bytes(188 * 5)
    path = tmp_path / "damaged.ts"
    path.write_bytes(content)
    frames, _, stream = read(path)
    assert len(frames) > 20
    assert stream.num_damaged > 0
    assert rises(frames)


def test_what_cannot_be_opened_is_named(tmp_path):
    text = tmp_path / "text.mp4"
    text.write_text("no video")
    for source in (text, tmp_path / "none.mp4", 63, "/dev/video63"):
        with pytest.raises(OSError, match=f"unreadable video {source}"):
            open_stream(source)


def test_settings_out_of_range_are_refused():
    for settings in (dict(every=0), dict(timeout=0), dict(frame_rate=-1)):
        with pytest.raises(ValueError, match=next(iter(settings)).replace("_", ".")):
            StreamSettings(**settings)


def test_a_dead_address_is_an_error_within_the_timeout():
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        start = time.monotonic()
        with pytest.raises(
            OSError, match=r"\*\*\*@127.*no answer within 0.3 s"
        ) as error:
            open_stream(
                f"rtsp://me:secret@127.0.0.1:{port}/", StreamSettings(timeout=0.3)
            )
        assert time.monotonic() - start < 5
        assert "secret" not in str(error.value)
    with pytest.raises(OSError, match="refused"):
        open_stream(f"http://127.0.0.1:{port}/", StreamSettings(timeout=5))


def test_a_stream_that_ends_or_stalls_is_lost_after_its_frames(camera):
    video = encode(range(60))
    frames, error, stream = read(camera([video]).address, timeout=5)
    assert stream.live
    assert brightness(frames)[-1] == 59 % 25
    assert "lost after" in str(error)
    assert stream.num_losses == 1
    frames, error, _ = read(camera([video, HOLD]).address, timeout=0.5)
    assert len(frames) >= 50
    assert "no data for 0.5 s" in str(error)


def test_it_comes_back_and_says_so(camera, warnings):
    first, second = encode(range(15)), encode(range(15, 75), start=3600)
    address = camera([first], [], [second, HOLD]).address
    settings = StreamSettings(timeout=5, reconnect=True, first_wait=0.05)
    stream, frames = open_stream(address, settings), []
    for frame in stream:
        frames.append(frame)
        if round(frame.image.mean() / 10) == 22:
            break
    stream.close()
    assert stream.num_losses == 1
    assert not stream.lost
    assert rises(frames)
    assert frames[-1].time < 60
    assert [frame.number for frame in frames] == list(range(len(frames)))
    assert "lost after" in warnings[0]
    assert "came back" in warnings[-1]


def test_garbage_is_passed_over(camera):
    garbage = np.random.default_rng(0).bytes(200_000).replace(b"\x47", b"\x00")
    script = [encode(range(15)), garbage, encode(range(15, 25), start=0.6)]
    frames, _, _ = read(camera(script).address, timeout=5)
    assert brightness(frames)[-1] >= 23
    assert rises(frames)


def test_jumps_in_time_do_not_reach_the_times(camera):
    parts = [encode(range(8), start=start) for start in (100, 5000, 20)]
    frames, _, _ = read(camera(parts).address, timeout=5)
    assert len(frames) >= 15
    assert rises(frames)
    assert frames[-1].time < 5


def test_another_resolution_gives_frames_of_that_size(camera):
    parts = [encode(range(10)), encode(range(10), size=(96, 80), start=0.4)]
    frames, _, _ = read(camera(parts).address, timeout=5)
    shapes = [frame.image.shape for frame in frames]
    assert shapes[0] == (48, 64, 3)
    assert shapes[-1] == (80, 96, 3)


def test_closing_ends_a_stalled_stream(camera):
    stream = open_stream(camera([encode(range(60)), HOLD]).address)
    threading.Timer(0.3, stream.close).start()
    start = time.monotonic()
    assert len(list(stream)) >= 50
    assert time.monotonic() - start < 5  # of 10 of the time-out


def test_closing_ends_the_attempts_to_come_back(camera):
    source = camera([encode(range(60))], [HOLD])
    settings = StreamSettings(reconnect=True, first_wait=0.01)
    stream = open_stream(source.address, settings)
    thread = threading.Thread(target=lambda: list(stream))
    thread.start()
    wait_for(lambda: source.num_connections == 2)
    stream.close()
    thread.join(5)
    assert not thread.is_alive()


def reading(source, settings=None):
    return StreamReader(source, lambda frame: frame, settings)


def test_a_live_reader_keeps_the_newest_frame_only(camera):
    goes_on = threading.Event()
    script = [encode(range(60)), goes_on, encode(range(60, 65), start=2.4), HOLD]
    reader = reading(camera(script).address)
    assert reader.opened.wait(10)
    assert reader.frame_rate == RATE
    wait_for(lambda: reader.num_dropped >= 50)  # nobody takes, and it reads on
    goes_on.set()
    wait_for(lambda: reader.num_dropped >= 60)
    last = reader.take(5).number
    assert last >= 60
    assert reader.state == "running"
    assert reader.error is None
    reader.close()
    assert reader.ended
    assert reader.take(1) is None


def test_frames_of_a_live_reader_that_nobody_takes_are_not_prepared(camera):
    prepared = []

    def prepare(frame):
        prepared.append(frame.number)
        return frame

    reader = StreamReader(camera([encode(range(60)), HOLD]).address, prepare)
    wait_for(lambda: reader.num_dropped >= 50)
    taken = reader.take(5)
    assert prepared == [taken.number]
    reader.close()


def test_a_reader_of_a_file_gives_every_frame(mp4):
    reader = reading(mp4)
    assert reader.opened.wait(10)
    wait_for(lambda: len(reader._frames) == 4)
    numbers = []
    while not reader.ended:
        if (frame := reader.take(1)) is not None:
            numbers.append(frame.number)
    assert numbers == list(range(20))
    assert reader.num_dropped == 0
    assert reader.state == "ended"
    assert reader.error is None


def test_a_reader_reports_what_ended_it(camera, tmp_path):
    reader = reading(camera([encode(range(60)), 0.2]).address)
    wait_for(lambda: reader.error is not None)
    assert isinstance(reader.error, StreamLost)
    assert not reader.ended  # a frame is left to take
    assert reader.take(1) is not None
    assert reader.ended
    reader = reading(tmp_path / "none.mp4")
    assert reader.opened.wait(10)
    wait_for(lambda: reader.ended)
    assert "unreadable video" in str(reader.error)


def test_a_dead_camera_holds_up_nobody_and_is_tried_again(camera, warnings):
    source = camera([HOLD], [], [encode(range(60)), HOLD])
    settings = StreamSettings(timeout=0.4, reconnect=True, first_wait=0.02)
    start = time.monotonic()
    reader = reading(source.address, settings)
    assert time.monotonic() - start < 0.3
    assert reader.state == "opening"
    wait_for(lambda: reader.state == "lost")
    assert reader.take(10) is not None
    assert "Trying again" in warnings[0]
    reader.close()


def test_closing_a_reader_that_is_opening_does_not_wait(camera):
    source = camera([HOLD])
    reader = reading(source.address)
    wait_for(lambda: source.num_connections == 1)
    start = time.monotonic()
    reader.close()
    assert time.monotonic() - start < 5
    assert reader.ended
