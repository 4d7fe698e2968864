"""Several streams through one stub network, which finds bright boxes."""

import copy
import threading
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.structures import InstanceData

from fairmot_mm.apis import init_model, track_streams
from fairmot_mm.formats.mot_results import read_results
from fairmot_mm.streams import Counter, PageServer, StreamSettings, parse_line
from fairmot_mm.structures.letterbox import input_to_image

CONFIG = Path(__file__).parents[2] / "configs/fairmot_yolov5s_mot17.py"
HW = (64, 96)


@pytest.fixture(scope="module")
def model():
    cfg = Config.fromfile(CONFIG)
    cfg.model.tracker.update(obj_score_thr=0.1, min_box_area=0, max_aspect_ratio=None)
    cfg.test_dataloader.dataset.input_size = (96, 64)
    model = init_model(cfg, device="cpu")
    model.batches = []

    def predict_frames(inputs, metas, truth=None):
        model.batches.append(len(inputs))
        return [find_bright(image, meta) for image, meta in zip(inputs, metas)]  # noqa: B905

    model.predict_frames = predict_frames
    return model


def find_bright(image: torch.Tensor, meta: dict) -> InstanceData:
    bright = (image[0] > 0.75).numpy().astype(np.uint8)
    _, _, stats, _ = cv2.connectedComponentsWithStats(bright)
    x, y, w, h, _ = stats[1:].T
    corners = torch.from_numpy(np.column_stack((x, y, x + w, y + h))).float()
    return InstanceData(
        bboxes=input_to_image(corners, meta, HW),
        scores=torch.full((len(corners),), 0.9),
        labels=torch.zeros(len(corners), dtype=torch.long),
        embeddings=torch.eye(1, 8).repeat(len(corners), 1),
    )


def find_nothing() -> InstanceData:
    return InstanceData(
        bboxes=torch.zeros(0, 4),
        scores=torch.zeros(0),
        labels=torch.zeros(0, dtype=torch.long),
        embeddings=torch.zeros(0, 8),
    )


def write_walk(path, frames=20, size=(192, 128), step=4, x=10):
    """One bright person who walks to the right."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), 25, size)
    for frame in range(frames):
        image = np.full((size[1], size[0], 3), 40, np.uint8)
        left = x + step * frame
        image[40:100, left : left + 24] = 255
        writer.write(image)
    writer.release()
    return path


def test_each_stream_has_its_own_tracks(model, tmp_path):
    sources = dict(
        left=write_walk(tmp_path / "a.mp4"),
        right=write_walk(tmp_path / "b.mp4", frames=12, step=6),
    )
    model.batches.clear()
    seen = []
    out = tmp_path / "out"
    summaries = track_streams(
        model,
        sources,
        out,
        formats=("txt", "csv"),
        on_frame=lambda name, frame, tracks: seen.append((name, frame.number)),
    )
    assert {name: x.num_frames for name, x in summaries.items()} == dict(
        left=20, right=12
    )
    assert all(x.error is None for x in summaries.values())
    for name, step in dict(left=4, right=6).items():
        rows = read_results(out / f"{name}.txt")
        assert set(rows[:, 1]) == {1}
        np.testing.assert_allclose(rows[:, 2], 10 + step * np.arange(len(rows)), atol=6)
        assert (out / f"{name}.csv").read_text().count(f"{name},") == len(rows)
        assert [n for stream, n in seen if stream == name] == list(range(len(rows)))
    assert max(model.batches) == 2
    assert sum(model.batches) == 32


def test_what_scores_too_low_to_be_tracked_is_left_out(model, tmp_path, monkeypatch):
    """The peaks of a real network, of two videos in one batch."""
    network = init_model(model.cfg, device="cpu")
    sources = {
        name: write_walk(tmp_path / f"{name}.mp4", frames=3) for name in ("a", "b")
    }
    found = []
    plain = type(network).predict_frames

    def predict_frames(self, *inputs):
        found.extend(plain(self, *inputs))
        return found[-len(inputs[0]) :]

    monkeypatch.setattr(type(network), "predict_frames", predict_frames)
    network.tracker.obj_score_thr = 0.0
    track_streams(network, sources)
    every = found.copy()
    threshold = float(torch.cat([x.scores for x in every]).median())
    found.clear()
    network.tracker.obj_score_thr = threshold
    track_streams(network, sources)
    chosen = sum(int((x.scores > threshold).sum()) for x in every)
    assert 0 < chosen <= sum(map(len, found)) < sum(map(len, every))


def test_a_stream_that_dies_takes_no_other_with_it(model, tmp_path):
    damaged = tmp_path / "damaged.mp4"
    damaged.write_bytes(b"no video at all")
    good = write_walk(tmp_path / "good.mp4")
    summaries = track_streams(model, dict(bad=damaged, good=good), tmp_path / "out")
    assert summaries["bad"].num_frames == 0
    assert "damaged.mp4" in str(summaries["bad"].error)
    assert summaries["good"].error is None
    assert len(read_results(tmp_path / "out/good.txt")) == 20


def test_results_of_before_stay_where_no_frame_comes(model, tmp_path):
    (tmp_path / "bad.txt").write_text("of before\n")
    track_streams(model, dict(bad=tmp_path / "missing.mp4"), tmp_path)
    assert [x.name for x in tmp_path.iterdir()] == ["bad.txt"]
    assert (tmp_path / "bad.txt").read_text() == "of before\n"


def test_unwritable_results_end_the_call(model, tmp_path):
    path = write_walk(tmp_path / "walk.mp4", frames=2)
    (tmp_path / "walk.txt").mkdir()
    with pytest.raises(OSError, match=r"walk\.txt"):
        track_streams(model, dict(walk=path), tmp_path)


def test_inputs_of_other_sizes_are_batches_of_their_own(model, tmp_path):
    """As a pipeline that does not letterbox makes them."""
    sources = dict(
        small=write_walk(tmp_path / "a.mp4", frames=5),
        large=write_walk(tmp_path / "b.mp4", frames=5, size=(288, 192)),
        small_too=write_walk(tmp_path / "c.mp4", frames=5),
    )
    cfg = copy.deepcopy(model.cfg)
    cfg.test_dataloader.dataset.pipeline[0].transforms[1] = dict(
        type="mmdet.Pad", size_divisor=32
    )
    own = init_model(cfg, device="cpu")
    shapes = []

    def predict_frames(inputs, metas, truth=None):
        shapes.append(tuple(inputs.shape))
        return [find_nothing() for _ in metas]

    own.predict_frames = predict_frames
    summaries = track_streams(own, sources)
    assert {x.error for x in summaries.values()} == {None}
    assert {x.num_frames for x in summaries.values()} == {5}
    assert {shape[2:] for shape in shapes} == {(128, 192), (192, 288)}
    assert sum(shape[0] for shape in shapes) == 15


def test_every_third_frame_goes_on_in_time(model, tmp_path):
    """Twelve pixels a frame, 36 in three: more than the width, so speed decides."""
    path = write_walk(tmp_path / "fast.mp4", frames=13, step=11)
    track_streams(model, dict(fast=path), tmp_path, settings=StreamSettings(every=1))
    plain = read_results(tmp_path / "fast.txt")
    track_streams(model, dict(fast=path), tmp_path, settings=StreamSettings(every=2))
    thinned = read_results(tmp_path / "fast.txt")
    assert set(plain[:, 1]) == {1}
    assert thinned[:, 0].tolist() == [1, 3, 5, 7, 9, 11, 13]
    assert set(thinned[:, 1]) == {1}


def test_identities_are_not_used_again_after_the_size_changed(model, tmp_path):
    folder = tmp_path / "images"
    folder.mkdir()
    for number in range(12):
        size = (128, 192) if number < 6 else (256, 384)
        image = np.full((*size, 3), 40, np.uint8)
        image[40:100, 20:50] = 255
        cv2.imwrite(str(folder / f"{number}.png"), image)
    track_streams(model, dict(a=folder), tmp_path / "out")
    rows = read_results(tmp_path / "out/a.txt")
    assert rows[:, 1].tolist() == [1] * 6 + [2] * 6


def test_crossings_are_counted_and_shown(model, tmp_path):
    pytest.importorskip("supervision")
    path = write_walk(tmp_path / "walk.mp4", frames=30)
    counter = Counter([parse_line("door=70,0,70,127")], [], ["person"])
    page = PageServer(["walk"], 0)
    page.start()
    try:
        summaries = track_streams(
            model, dict(walk=path), tmp_path, counters=dict(walk=counter), page=page
        )
        status = page.views["walk"].status()
    finally:
        page.close()
    (row,) = summaries["walk"].counts
    assert row["in"] + row["out"] == 1
    assert status.counts == summaries["walk"].counts
    assert "door" in (tmp_path / "walk.counts.csv").read_text()


def test_stops_with_whole_files(model, tmp_path):
    path = write_walk(tmp_path / "long.mp4", frames=40, step=1)
    stop = threading.Event()

    def on_frame(name, frame, tracks):
        if frame.number == 5:
            stop.set()

    summaries = track_streams(
        model, dict(a=path), tmp_path, on_frame=on_frame, stop=stop
    )
    assert summaries["a"].num_frames == 6
    assert read_results(tmp_path / "a.txt")[-1, 0] == 6


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (dict(sources={"a b": "1.mp4", "a/b": "2.mp4"}), "written twice"),
        (dict(sources={"a": "1.mp4"}, counters={"b": None}), "lines or zones of b"),
        (dict(sources={"a": "1.mp4"}, formats=("doc",)), r"a\.doc"),
    ],
)
def test_mistakes_are_named(model, tmp_path, arguments, message):
    sources = arguments.pop("sources")
    with pytest.raises(ValueError, match=message):
        track_streams(model, sources, tmp_path, **arguments)
