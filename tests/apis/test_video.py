import copy
import threading
import time
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.logging import MMLogger

from fairmot_mm.apis import inference_mot, init_model, track_video
from fairmot_mm.datasets.class_names import class_names
from fairmot_mm.datasets.sources.visdrone import VISDRONE_CLASSES
from fairmot_mm.formats.mot_results import read_results
from fairmot_mm.models import JDETracker

CONFIGS = Path(__file__).parents[2] / "configs"
CONFIG = """\
_base_ = {base!r}
model = dict(
    tracker=dict(obj_score_thr=0.0, min_box_area=0, max_aspect_ratio=None))
test_pipeline = [
    dict(
        type='TransformBroadcaster',
        transforms=[
            dict(type='CheckedLoadImageFromFile'),
            dict(type='Letterbox', size=(96, 64)),
        ]),
    {{{{_base_.pack_frames}}}},
]
test_dataloader = dict(dataset=dict(pipeline=test_pipeline))
"""


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    base = CONFIGS / "fairmot_dla34_overfit.py"
    path = tmp_path_factory.mktemp("config") / "small.py"
    path.write_text(CONFIG.format(base=str(base)))
    return init_model(path, device="cpu")


@pytest.fixture(scope="module")
def images(synthetic):
    return sorted((synthetic / "SYN-00/img1").glob("*.jpg"))


@pytest.fixture
def rates(monkeypatch):
    """Rates at which the tracker starts videos."""
    rates, reset = [], JDETracker.reset

    def record(tracker, frame_rate):
        rates.append(frame_rate)
        reset(tracker, frame_rate)

    monkeypatch.setattr(JDETracker, "reset", record)
    return rates


def test_a_folder_is_tracked_as_frame_by_frame(model, images, tmp_path):
    seen = []
    out, drawing = tmp_path / "new/tracks.txt", tmp_path / "drawn.mp4"
    count = track_video(
        model, images[0].parent, out, drawing, lambda number, _: seen.append(number)
    )
    assert count == len(images) == 6
    assert seen == list(range(6))
    rows = []
    for number, path in enumerate(images):
        found = inference_mot(model, path, number).pred_track_instances
        for box, identity in zip(found.bboxes, found.instances_id, strict=True):
            rows.append([number + 1, identity, *box[:2], *(box[2:] - box[:2])])
    assert rows
    expected = np.array(rows)[np.lexsort((np.array(rows)[:, 1], np.array(rows)[:, 0]))]
    assert np.allclose(read_results(out)[:, :6], expected, atol=2e-3)
    capture = cv2.VideoCapture(str(drawing))
    assert capture.get(cv2.CAP_PROP_FRAME_COUNT) == 6
    assert capture.get(cv2.CAP_PROP_FRAME_WIDTH) == 192


def test_a_folder_is_tracked_in_the_order_of_its_numbers(model, images, tmp_path):
    folder = tmp_path / "numbered"
    folder.mkdir()
    for number, image in zip((1, 2, 10), images, strict=False):
        (folder / f"frame{number}.jpg").symlink_to(image)
    (folder / "._frame1.jpg").touch()
    several = tmp_path / "padded"
    several.mkdir()
    for number, image in enumerate(images[:3]):
        (several / f"{number:06d}.jpg").symlink_to(image)
    for name in (folder, several):
        assert track_video(model, name, tmp_path / f"{name.name}.txt") == 3
    numbered, padded = (tmp_path / f"{x}.txt" for x in ("numbered", "padded"))
    assert numbered.read_text() == padded.read_text() != ""

    (several / "cover.jpg").symlink_to(images[0])
    with pytest.raises(
        ValueError, match=r"padded: 000000\.jpg is .* cover\.jpg is not"
    ):
        track_video(model, several, tmp_path / "t.txt")


def test_a_video_file_is_read_to_its_end(model, images, tmp_path, rates):
    path = tmp_path / "clip.mp4"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"mp4v"), 15, (192, 128))
    for image in images[:3]:
        writer.write(cv2.imread(str(image)))
    writer.release()
    assert track_video(model, path, tmp_path / "tracks.txt") == 3
    assert rates == [15]
    track_video(model, path, tmp_path / "tracks.txt", frame_rate=7.5)
    assert rates == [15, 7.5]
    with pytest.raises(ValueError, match=r"frame rate 1000, expected 0\.01 to 480"):
        track_video(model, path, tmp_path / "tracks.txt", frame_rate=1000)


class Camera:
    """A decoder of some frames; ``stall`` keeps it from giving another one."""

    num_announced = num_damaged = 0

    def __init__(self, images, rate=30.0):
        self.images, self.frame_rate = list(images), rate
        self.stall = threading.Event()
        self.stall.set()
        self.released = False

    def frames(self):
        for number, image in enumerate(self.images):
            yield av.VideoFrame.from_ndarray(image, format="bgr24"), number / 30
        self.stall.wait()

    def interrupt(self):
        pass  # a read that nothing ends

    def close(self):
        self.released = True


@pytest.fixture
def camera(images, monkeypatch):
    """Camera 0, of four frames."""
    camera = Camera(cv2.imread(str(path)) for path in images[:4])
    monkeypatch.setattr("fairmot_mm.streams.sources.Decoder", lambda *_: camera)
    return camera


@pytest.mark.parametrize("rate", [0.0, -1.0, float("nan"), float("inf"), 1000, 90000])
def test_a_camera_with_an_impossible_frame_rate(model, camera, rates, tmp_path, rate):
    camera.frame_rate = rate
    assert track_video(model, 0, tmp_path / "tracks.txt", tmp_path / "t.mp4") == 4
    assert rates == [30]
    assert cv2.VideoCapture(str(tmp_path / "t.mp4")).get(cv2.CAP_PROP_FPS) == 30


def test_a_stalled_camera_does_not_hold_up_the_end(model, camera, tmp_path):
    camera.stall.clear()
    stop = threading.Event()

    def on_frame(number, _):
        if number == 3:
            stop.set()

    out, drawing = tmp_path / "tracks.txt", tmp_path / "t.mp4"
    # The read never ends, so returning at all is what is tested.
    assert track_video(model, 0, out, drawing, on_frame, stop=stop) == 4
    assert set(read_results(out)[:, 0]) == {1, 2, 3, 4}
    assert cv2.VideoCapture(str(drawing)).get(cv2.CAP_PROP_FRAME_COUNT) == 4
    assert not camera.released  # its read goes on
    camera.stall.set()
    wait_for(lambda: camera.released)


@pytest.mark.parametrize("fails", ["results", "network"])
def test_a_capture_is_closed_while_somebody_holds_the_error(
    model, camera, tmp_path, fails
):
    def on_frame(number, _):
        raise RuntimeError("network")

    out = tmp_path if fails == "results" else tmp_path / "tracks.txt"
    with pytest.raises((OSError, RuntimeError)) as held:
        track_video(model, 0, out, on_frame=on_frame)
    wait_for(lambda: camera.released)
    assert held.value is not None


def wait_for(condition):
    end = time.monotonic() + 5
    while not condition() and time.monotonic() < end:
        time.sleep(0.01)
    assert condition()


def test_streams_on_one_model_do_not_mix(model, images, tmp_path):
    """One starts in the middle of the other."""
    folder, other = images[0].parent, tmp_path / "inner.txt"

    def on_frame(number, _):
        if number == 2:
            track_video(model, folder, other)

    track_video(model, folder, tmp_path / "outer.txt", on_frame=on_frame)
    track_video(model, folder, tmp_path / "alone.txt")
    alone = (tmp_path / "alone.txt").read_text()
    assert (tmp_path / "outer.txt").read_text() == other.read_text() == alone != ""


def test_several_classes_are_told_apart(images, tmp_path):
    base = CONFIGS / "fairmot_dla34_overfit.py"
    path = tmp_path / "small.py"
    path.write_text(CONFIG.format(base=str(base)))
    options = {"model.bbox_head.num_classes": 3}
    model = init_model(path, device="cpu", cfg_options=options)
    track_video(model, images[0].parent, tmp_path / "t.txt", tmp_path / "t.mp4")
    rows = np.loadtxt(tmp_path / "t.txt", delimiter=",")
    assert set(rows[:, 7]) == {1, 2, 3}
    assert (rows[:, 8:] == -1).all()


def test_dropped_detections_are_counted_when_a_video_ends(
    model, images, tmp_path, monkeypatch
):
    update, said = JDETracker.update, []

    def spoilt(tracker, bboxes, *others):
        bboxes[:2] = np.nan
        return update(tracker, bboxes, *others)

    monkeypatch.setattr(JDETracker, "update", spoilt)
    monkeypatch.setattr(MMLogger.get_current_instance(), "warning", said.append)
    track_video(model, images[0].parent, tmp_path / "tracks.txt")
    _, text = said  # the first frame's, and the sum
    assert f"{images[0].parent}: 12 detections could not be tracked" in text


def test_wrong_sources_are_named(model, tmp_path):
    with pytest.raises(OSError, match=r"nowhere\.mp4"):
        track_video(model, tmp_path / "nowhere.mp4", tmp_path / "tracks.txt")
    with pytest.raises(ValueError, match="no image in"):
        track_video(model, tmp_path, tmp_path / "tracks.txt")
    (tmp_path / "1.jpg").write_bytes(b"no image")
    with pytest.raises(OSError, match=r"unreadable image .*1\.jpg"):
        track_video(model, tmp_path, tmp_path / "tracks.txt")


@pytest.mark.parametrize(
    ("config", "names"),
    [
        ("mcfairmot_dla34_visdrone.py", VISDRONE_CLASSES[:10]),
        ("fairmot_dla34_mot17.py", ("pedestrian",)),
        ("fairmot_dla34_mot17.py", ("class 1", "class 2")),
    ],
)
def test_classes_are_called_as_in_the_test_data(config, names):
    cfg = Config.fromfile(CONFIGS / config)
    assert class_names(cfg, len(names)) == list(names)
    assert class_names({}, 1) == ["class 1"]
    cfg.test_dataloader.dataset.metainfo = dict(classes=["a"])
    if "source" not in cfg.test_dataloader.dataset:
        assert class_names(cfg, 1) == ["a"]


def test_fast_resize_tracks_and_draws_nearly_the_same(model, images, tmp_path):
    folder = images[0].parent
    drawing = tmp_path / "fast.mp4"
    for name, options in (("fast", dict(fast_resize=True)), ("published", {})):
        outputs = (tmp_path / f"{name}.txt", drawing if options else None)
        assert track_video(model, folder, *outputs, **options) == 6
    assert cv2.VideoCapture(str(drawing)).get(cv2.CAP_PROP_FRAME_COUNT) == 6
    first = [
        read_results(tmp_path / f"{name}.txt")[:, :1] for name in ("fast", "published")
    ]
    assert abs(len(first[0]) - len(first[1])) <= 0.2 * len(first[1])


def test_fast_resize_wants_the_plain_pipeline(model, images):
    other = copy.copy(model)
    other.cfg = copy.deepcopy(model.cfg)
    vars(other).pop("frame_pipeline", None)  # built anew of the config
    steps = other.cfg.test_dataloader.dataset.pipeline[0].transforms
    steps.append(dict(type="mmdet.RandomFlip", prob=0.0))
    with pytest.raises(ValueError, match="fast_resize takes the place"):
        track_video(other, images[0].parent, fast_resize=True)


def test_what_scores_too_low_to_be_tracked_is_left_out(model, images, tmp_path):
    every = inference_mot(model, images[0], 0)[0].pred_instances
    strict = copy.copy(model)
    threshold = float(every.scores.median())
    vars(strict)["tracker"] = JDETracker(obj_score_thr=threshold)
    expected = [
        inference_mot(strict, path, i).pred_track_instances
        for i, path in enumerate(images)
    ]
    found = []
    folder = images[0].parent
    track_video(strict, folder, on_frame=lambda _, tracks: found.append(tracks[0]))
    chosen = int((every.scores > threshold).sum())
    assert chosen <= len(found[0].pred_instances) < len(every)
    for frame, tracks in zip(found, expected, strict=True):
        assert len(tracks)
        assert torch.equal(frame.pred_track_instances.bboxes, tracks.bboxes)
        assert frame.pred_track_instances.instances_id.equal(tracks.instances_id)
    assert strict.min_score == 0  # the stream's own copy has one
