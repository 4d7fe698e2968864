import pickle
from itertools import pairwise

import numpy as np
import pytest
import torch
from mmdet.structures import DetDataSample
from mmengine.structures import InstanceData

from fairmot_mm.models import JDETracker

BOX = np.array([[100.0, 100.0, 140.0, 200.0]])
FAR = BOX + 500
EMBEDDINGS = np.eye(8, dtype=np.float32)


def step(tracker: JDETracker, boxes, who, labels=None, score=0.9) -> dict[int, list]:
    """Track a frame on which person ``who[i]`` is seen at ``boxes[i]``."""
    boxes = np.asarray(boxes, float).reshape(-1, 4)
    out = tracker.update(
        boxes,
        np.full(len(boxes), score),
        EMBEDDINGS[np.asarray(who, int)],
        None if labels is None else np.asarray(labels),
    )
    return {int(i): b.tolist() for i, b in zip(out.instances_id, out.bboxes)}  # noqa: B905


@pytest.mark.parametrize("name", ["sparse", "slow", "crowd"])
@pytest.mark.parametrize("kind", [np.asarray, torch.from_numpy])
def test_equals_the_published_tracker(golden, name, kind):
    numbers = golden(f"tracker_{name}.npz")
    tracker = JDETracker(float(numbers["conf_thres"]), int(numbers["track_buffer"]))
    tracker.reset(frame_rate=float(numbers["frame_rate"]))
    bounds = np.cumsum([0, *numbers["frame_counts"]])
    rows = []
    for frame, (start, stop) in enumerate(pairwise(bounds)):
        detections = numbers["dets"][start:stop]
        embeddings = numbers["embs"][start:stop].astype(np.float32)
        out = tracker.update(
            kind(detections[:, :4]), kind(detections[:, 4]), kind(embeddings)
        )
        boxes = out.bboxes.double()
        for i in range(len(out)):
            sides = (boxes[i, 2:] - boxes[i, :2]).tolist()
            row = [frame, int(out.instances_id[i]), *boxes[i, :2].tolist(), *sides]
            rows.append([*row, float(out.scores[i])])
    rows, expected = np.array(rows), numbers["results"]
    assert rows.shape == expected.shape
    assert (rows[:, :2] == expected[:, :2]).all()
    assert np.abs(rows[:, 2:6] - expected[:, 2:6]).max() < 1e-3
    assert np.abs(rows[:, 6] - expected[:, 6]).max() < 1e-6


def test_who_comes_later_is_confirmed_on_a_second_frame():
    tracker = JDETracker()
    assert set(step(tracker, BOX, [0])) == {1}  # there from the start
    assert set(step(tracker, [BOX[0], FAR[0]], [0, 1])) == {1}
    assert set(step(tracker, [BOX[0], FAR[0]], [0, 1])) == {1, 2}


@pytest.mark.parametrize(("frame_rate", "kept"), [(30, 5), (15, 2), (60, 10)])
def test_a_lost_track_is_kept_by_frame_rate(frame_rate, kept):
    # Two frames longer than the limit: so does the published tracker.
    for gap, found in ((kept + 1, True), (kept + 2, False)):
        tracker = JDETracker(num_frames_retain=5)
        tracker.reset(frame_rate)
        step(tracker, BOX, [0])
        for _ in range(gap):
            assert step(tracker, [], []) == {}
        assert set(step(tracker, BOX, [0])) == ({1} if found else set())


def test_appearance_decides_where_two_meet():
    tracker = JDETracker()
    left, right = BOX[0], BOX[0] + [20, 0, 20, 0]
    step(tracker, [left, right], [0, 1])
    # Same places, changed people: the identities change places with them.
    out = step(tracker, [left, right], [1, 0])
    assert out[1][0] > out[2][0]


def test_classes_are_never_mixed_and_identities_are_unique_over_them():
    tracker = JDETracker()
    shifted = BOX[0] + [2, 0, 2, 0]
    boxes = [BOX[0], shifted]
    assert set(step(tracker, boxes, [0, 0], [0, 1])) == {1, 2}
    out = tracker.update(
        np.array([shifted, BOX[0]]), np.full(2, 0.9), EMBEDDINGS[[0, 0]], [1, 0]
    )
    assert dict(zip(out.instances_id.tolist(), out.labels.tolist(), strict=True)) == {
        1: 0,
        2: 1,
    }
    # Another class in the same place starts a track of its own.
    tracker.reset()
    step(tracker, BOX, [0], [0])
    assert step(tracker, BOX, [0], [3]) == {}


def test_without_embeddings_motion_alone_associates():
    tracker = JDETracker()
    ids = []
    for i in range(20):
        boxes = np.concatenate((BOX + [4.0 * i, 0] * 2, FAR - [3.0 * i, 0] * 2))
        out = tracker.update(boxes[:: 1 if i % 2 else -1], np.full(2, 0.8), None)
        order = out.bboxes[:, 0].argsort()
        ids.append(out.instances_id[order].tolist())
    assert all(row == ids[0] for row in ids)


def test_weak_detections_are_not_used():
    tracker = JDETracker(obj_score_thr=0.5)
    assert step(tracker, BOX, [0], score=0.5) == {}
    assert (
        set(step(tracker, BOX, [0], score=0.51)) == set()
    )  # no longer the first frame


def test_small_and_wide_boxes_are_hidden_but_tracked():
    boxes = np.array([[0, 0, 9, 11], [50, 0, 60, 10.5], [100, 0, 190, 50]], float)
    tracker = JDETracker(min_box_area=100, max_aspect_ratio=1.6)
    assert set(step(tracker, boxes, [0, 1, 2])) == {2}
    # Grown to a size that counts, they show up under the identities they always had.
    boxes[0, 2:] += 3
    boxes[2, 2:] = [175, 55]
    for _ in range(20):
        shown = step(tracker, boxes, [0, 1, 2])
    assert set(shown) == {1, 2, 3}


def test_a_frame_without_detections():
    tracker = JDETracker()
    out = tracker.update(np.empty((0, 4)), np.empty(0), np.empty((0, 128)))
    assert len(out) == 0
    out = tracker.update(torch.empty(0, 4), torch.empty(0), torch.empty(0, 128))
    assert out.bboxes.shape == (0, 4)
    assert set(step(tracker, BOX, [0])) == set()
    assert set(step(tracker, BOX, [0])) == {1}


def test_state_does_not_grow_with_the_stream():
    tracker = JDETracker(num_frames_retain=3)
    for i in range(200):
        step(tracker, BOX + 700 * (i % 7), [i % 8])
    assert len(tracker._tracks) < 10
    assert tracker._next_id > 30


def test_same_person_is_no_duplicate_after_reset():
    tracker = JDETracker()
    step(tracker, BOX, [0])
    tracker.reset()
    assert set(step(tracker, FAR, [1])) == {1}


@pytest.mark.parametrize(
    ("boxes", "scores", "embeddings", "labels", "named"),
    [
        (np.zeros((2, 4)), [0.9], EMBEDDINGS[:2], None, "bboxes"),
        (np.zeros((1, 5)), [0.9], EMBEDDINGS[:1], None, "bboxes"),
        (BOX, [0.9], EMBEDDINGS[:2], None, "embeddings"),
        (BOX, [0.9], EMBEDDINGS[:1], [0, 1], "labels"),
    ],
)
def test_wrong_arrays_are_named(boxes, scores, embeddings, labels, named):
    with pytest.raises(ValueError, match=named):
        JDETracker().update(boxes, np.array(scores), embeddings, labels)


def test_embeddings_of_another_length_are_refused():
    tracker = JDETracker()
    step(tracker, BOX, [0])
    with pytest.raises(ValueError, match="length 4 came in"):
        tracker.update(BOX, np.array([0.9]), np.ones((1, 4)))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("bboxes", [5.0, 5, 9, 5]),
        ("bboxes", [5.0, np.nan, 9, 50]),
        ("bboxes", [-np.inf, 5, 9, 50]),
        ("bboxes", [0.0, 0, 3e38, 3e38]),
        ("scores", np.nan),
        ("scores", np.inf),
        ("embeddings", np.nan),
        ("embeddings", -np.inf),
    ],
)
def test_a_detection_that_cannot_be_tracked_is_dropped_and_counted(key, value, dtype):
    tracker = JDETracker(low_score_thr=0.1)
    whole = dict(bboxes=FAR, scores=np.array([0.9]), embeddings=EMBEDDINGS[1:2])
    bad = {k: np.array(v, dtype) for k, v in whole.items()}
    bad[key][:] = value
    if key != "scores":
        bad["scores"][:] = 0.2  # low scores as well
    known = dict(bboxes=BOX, scores=np.array([0.9]), embeddings=EMBEDDINGS[:1])
    given = {k: np.concatenate((known[k], bad[k])) for k in known}
    for frame in range(1, 4):
        assert tracker.update(**given).instances_id.tolist() == [1]
        assert tracker.num_dropped == frame
    tracker.reset()
    assert tracker.num_dropped == 0


@pytest.mark.parametrize("name", ["obj_score_thr", "num_frames_retain"])
def test_text_for_a_number_is_named(name):
    with pytest.raises(ValueError, match=f"{name}='high' of the tracker"):
        JDETracker(low_score_thr=0.1, **{name: "high"})


def test_any_stream_of_finite_boxes_can_be_tracked():
    rng = np.random.default_rng(0)
    tracker = JDETracker(low_score_thr=0.1, num_frames_retain=3)
    for _ in range(300):
        size = 10.0 ** rng.uniform(-6, 6, (6, 1))
        boxes = rng.uniform(-1, 1, (6, 4)) * size
        embeddings = rng.normal(size=(6, 8)) * 10.0 ** rng.integers(-30, 15, (6, 1))
        embeddings[0] = 0
        out = tracker.update(boxes, rng.uniform(size=6), embeddings)
        assert out.bboxes.isfinite().all()


def test_toolbox_entry_starts_a_video_at_frame_zero():
    tracker = JDETracker()
    for frame, frame_rate in ((0, 15.0), (1, 15.0), (0, 60.0)):
        sample = DetDataSample(metainfo=dict(frame_id=frame, frame_rate=frame_rate))
        sample.pred_instances = InstanceData(
            bboxes=torch.from_numpy(BOX),
            scores=torch.tensor([0.9]),
            labels=torch.tensor([0]),
            embeddings=torch.from_numpy(EMBEDDINGS[:1]),
        )
        out = tracker.track(model=None, img=None, data_sample=sample, rescale=True)
        assert out.instances_id.tolist() == [1]
    assert tracker.max_frames_lost == 60


def test_memory_stays_bounded_over_a_long_stream():
    # Three newcomers a frame, each in sight for two frames: with a memory of two frames
    # a track lives for less than eight, however long the stream goes on.
    tracker = JDETracker(num_frames_retain=2)
    rng = np.random.default_rng(0)
    corners = np.array([[0.0, 0], [300, 0], [600, 0]])
    sizes = []
    for frame in range(600):
        # Every pair of frames somewhere else, with another look.
        if frame % 2 == 0:
            top_left = corners + rng.uniform(0, 4000, 2)
            embeddings = np.eye(16)[rng.permutation(16)[:3]]
        boxes = np.hstack((top_left, top_left + np.array([40, 100])))
        out = tracker.update(boxes, np.ones(3), embeddings)
        assert frame % 2 == 0 or len(out) == 3
        sizes.append(len(pickle.dumps(tracker)))
    assert out.instances_id.max() >= 800  # hundreds have come and gone
    # Greater frame numbers take a byte or two more.
    assert max(sizes[300:]) <= max(sizes[:100]) + 64
