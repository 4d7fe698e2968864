"""What the published tracker does not have; all of it off unless asked for."""

import numpy as np
import pytest
import torch
from mmdet.structures import DetDataSample
from mmengine.structures import InstanceData

from fairmot_mm.models import JDETracker
from fairmot_mm.models.trackers.kalman_filter import KalmanFilter

BOX = np.array([[100.0, 100, 140, 200]], np.float32)
LOOK = np.eye(1, 8, dtype=np.float32)


def update(tracker: JDETracker, box=BOX, score: float = 0.9, look=LOOK, **kwargs):
    return tracker.update(box, np.array([score], np.float32), look, **kwargs)


def test_doubtful_detections_carry_tracks_on():
    with_them, without = JDETracker(low_score_thr=0.1), JDETracker()
    for tracker in (with_them, without):
        for _ in range(3):
            update(tracker)
    other = np.roll(LOOK, 3, axis=1)  # what hides somebody looks otherwise
    for step in range(1, 5):
        out = update(with_them, BOX + 2 * step, 0.2, other)
        assert out.instances_id.tolist() == [1]
        assert out.scores.item() == pytest.approx(0.2)
        assert len(update(without, BOX + 2 * step, 0.2, other)) == 0
    np.testing.assert_allclose(with_them._tracks.embeddings, LOOK)
    # Not what is below even the lower threshold, nor on it.
    assert len(update(with_them, BOX + 10, 0.1)) == 0


def test_doubtful_detections_must_overlap_more():
    # 1 - IoU is 0.45: the authors of BYTE allow 0.4 here, 0.5 for high scores.
    shifted = BOX + np.array([11.7, 0, 11.7, 0], np.float32)
    for limit, found in ((0.4, []), (0.5, [1])):
        tracker = JDETracker(low_score_thr=0.1, low_score_cost_limit=limit)
        for _ in range(30):
            update(tracker)
        assert update(tracker, shifted, 0.2).instances_id.tolist() == found
    assert JDETracker().low_score_cost_limit == 0.4


def test_doubtful_detections_start_nothing():
    tracker = JDETracker(low_score_thr=0.1)
    for _ in range(3):
        assert len(update(tracker, score=0.3)) == 0
    assert update(tracker).instances_id.tolist() == []  # not the first frame any more
    assert update(tracker).instances_id.tolist() == [1]


def test_doubtful_detections_of_another_class_are_others():
    tracker = JDETracker(low_score_thr=0.1)
    for _ in range(2):
        update(tracker, labels=np.array([1]))
    assert len(update(tracker, score=0.2, labels=np.array([0]))) == 0


def test_wrong_order_of_thresholds_is_named():
    with pytest.raises(ValueError, match=r"low_score_thr=0\.5.*obj_score_thr=0\.4"):
        JDETracker(low_score_thr=0.5)


def test_tracks_follow_the_camera():
    jump = np.array([[1.0, 0, 60], [0, 1, -30]])
    moved = BOX + np.array([60, -30, 60, -30], np.float32)
    following, standing = JDETracker(), JDETracker()
    for tracker in (following, standing):
        for _ in range(3):
            update(tracker)
    assert update(following, moved, camera_motion=jump).instances_id.tolist() == [1]
    assert len(update(standing, moved)) == 0


@pytest.mark.parametrize(
    "motion",
    [
        np.zeros((2, 3)),
        np.full((2, 3), np.nan),
        np.array([[1.0, 0, np.inf], [0, 1, 0]]),
        np.array([[1.0, 0, 1e300], [0, 1, 0]]),
        np.array([[3.0, 0, 0], [0, 3, 0]]),
        np.array([[0.4, 0, 0], [0, 0.4, 0]]),
        np.array([[-1.0, 0, 0], [0, 1, 0]]),
        np.array([[100.0, 0, 0], [0, 0.01, 0]]),
    ],
)
def test_a_motion_no_camera_makes_is_none(motion):
    tracker, still = JDETracker(), JDETracker()
    for _ in range(3):
        out = update(tracker, camera_motion=motion)
        expected = update(still)
        assert out.instances_id.tolist() == [1]
        assert torch.equal(out.bboxes, expected.bboxes)


def frame(image: np.ndarray, box: np.ndarray, frame_id: int) -> dict:
    sample = DetDataSample(
        metainfo=dict(frame_id=frame_id, frame_rate=30.0, ori_shape=image.shape[:2])
    )
    sample.pred_instances = InstanceData(
        bboxes=torch.from_numpy(box),
        scores=torch.tensor([0.9]),
        labels=torch.tensor([0]),
        embeddings=torch.from_numpy(LOOK),
    )
    pixels = torch.from_numpy(image).permute(2, 0, 1)[None].float()
    return dict(img=pixels, data_sample=sample)


def test_the_toolboxes_entry_reads_the_camera_off_the_frames():
    rng = np.random.default_rng(0)
    ground = np.kron(
        rng.integers(0, 256, (60, 80, 3), np.uint8), np.ones((6, 6, 1), np.uint8)
    )
    still, moved = ground[60:300, 60:400], ground[72:312, 20:360]
    tracker = JDETracker(camera_motion=dict(type="SparseFlowMotion"))
    for i in range(3):
        tracker.track(**frame(still, BOX, i))
    shifted = BOX + np.array([40, -12, 40, -12], np.float32)
    out = tracker.track(**frame(moved, shifted, 3))
    assert out.instances_id.tolist() == [1]
    # The next video starts without a past.
    out = tracker.track(**frame(still, BOX, 0))
    assert out.instances_id.tolist() == [1]
    assert tracker._frame == 1


def test_measurements_count_by_their_score():
    plain, by_score = KalmanFilter(), KalmanFilter(noise_by_score=True)
    means, covariances = plain.initiate(np.array([[50.0, 50, 0.4, 100]] * 3))
    means, covariances = plain.predict(means, covariances)
    seen = np.array([[60.0, 50, 0.4, 100]] * 3)
    scores = np.array([0.0, 0.5, 1.0])
    gains = by_score.update(means, covariances, seen, scores)[0][:, 0]
    assert gains[0] < gains[1] < gains[2]
    # A score of zero leaves the published noise, one of one almost none.
    assert gains[0] == pytest.approx(plain.update(means, covariances, seen)[0][0, 0])
    assert gains[2] == pytest.approx(60, abs=0.05)
    variance, noise = covariances[1, 0, 0], 0.5 * (100 / 20) ** 2
    assert gains[1] == pytest.approx(50 + 10 * variance / (variance + noise))


def test_tracks_move_on_by_the_time_that_elapsed():
    walk = np.array([6, 0, 6, 0], np.float32)
    steps = [1, 1, 1, 1, 1, 1, 7, 1]  # six frames are missing
    by_time, by_frames = JDETracker(), JDETracker()
    now, found = 0, []
    for step in steps:
        now += step
        found.append(update(by_time, BOX + now * walk, elapsed=step).instances_id)
        out = update(by_frames, BOX + now * walk)
    assert [ids.tolist() for ids in found] == [[1]] * len(steps)
    assert out.instances_id.tolist() != [1]  # seven steps are more than its width


def test_lost_tracks_age_by_time():
    tracker = JDETracker(num_frames_retain=10)
    update(tracker)
    nothing = (np.empty((0, 4)), np.empty(0), np.empty((0, 8)))
    tracker.update(*nothing, elapsed=9)
    assert len(tracker._tracks) == 1
    tracker.update(*nothing, elapsed=9)
    assert len(tracker._tracks) == 0
    update(tracker)
    update(tracker)
    assert update(tracker, elapsed=500).instances_id.tolist() == []  # somebody else
    with pytest.raises(ValueError, match="time must go on"):
        tracker.update(*nothing, elapsed=0)


def test_elapsed_comes_with_the_metas():
    trackers = JDETracker(), JDETracker()
    for number, elapsed in enumerate((1, 3, 2)):
        box = BOX + 5 * number
        found = InstanceData(
            bboxes=torch.from_numpy(box),
            scores=torch.tensor([0.9]),
            embeddings=torch.from_numpy(LOOK),
        )
        metas = dict(frame_id=number, frame_rate=30.0, elapsed=elapsed)
        sample = DetDataSample(metainfo=metas, pred_instances=found)
        given = trackers[0].track(data_sample=sample)
        expected = update(trackers[1], box, elapsed=elapsed)
        assert torch.equal(given.bboxes, expected.bboxes)
