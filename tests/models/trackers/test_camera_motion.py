import cv2
import numpy as np
import pytest
import torch
from mmdet.models.data_preprocessors import TrackDataPreprocessor

from fairmot_mm.models import SparseFlowMotion
from fairmot_mm.models.trackers.camera_motion import CameraFollower, warp_states


@pytest.fixture(scope="module")
def ground() -> np.ndarray:
    coarse = np.random.default_rng(0).integers(0, 256, (60, 80, 3), np.uint8)
    return cv2.resize(coarse, (640, 480), interpolation=cv2.INTER_CUBIC)


def seen(ground: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """The ground after the camera's motion."""
    return cv2.warpAffine(ground, matrix, (640, 480))[100:380, 120:520].copy()


STILL = np.array([[1.0, 0, 0], [0, 1, 0]])
TURN = np.array([[1.02, -0.03, 9.0], [0.03, 1.02, -14.0]])


def in_window(matrix: np.ndarray) -> np.ndarray:
    """The same motion in pixels of the window that is cut out."""
    corner = np.array([120.0, 100])
    moved = matrix.copy()
    moved[:, 2] += matrix[:, :2] @ corner - corner
    return moved


@pytest.mark.parametrize(
    "estimator",
    [dict(type="SparseFlowMotion"), dict(type="mmdet.CameraMotionCompensation")],
)
def test_shift_is_found_though_something_moves_by_itself(ground, estimator):
    shift = np.array([[1.0, 0, 7], [0, 1, -4]])
    frames = [seen(ground, STILL), seen(ground, shift)]
    for i, frame in enumerate(frames):
        cv2.rectangle(frame, (50 + 20 * i, 60), (110 + 20 * i, 160), (0, 0, 255), -1)
    follower = CameraFollower(estimator)
    metas = dict(ori_shape=(280, 400))
    first, second = (
        follower.follow(torch.from_numpy(f).permute(2, 0, 1)[None].float(), metas)
        for f in frames
    )
    np.testing.assert_array_equal(first, STILL)
    np.testing.assert_allclose(second, shift, atol=0.2)


def test_turn_and_zoom_are_found(ground):
    matrix = SparseFlowMotion().get_warp_matrix(seen(ground, STILL), seen(ground, TURN))
    expected = in_window(TURN)
    np.testing.assert_allclose(matrix[:, :2], expected[:, :2], atol=2e-3)
    np.testing.assert_allclose(matrix[:, 2], expected[:, 2], atol=0.5)


def test_motion_is_in_pixels_of_the_original_image(ground):
    # The image is 800 x 400; in a network input of 400 x 280 it lies letterboxed at
    # half its size. The pixels there come normalised.
    shift = np.array([[1.0, 0, 6], [0, 1, 5]])
    preprocessor = TrackDataPreprocessor(
        mean=[10.0, 20, 30], std=[50.0, 60, 70], use_det_processor=True
    )
    follower = CameraFollower(dict(type="SparseFlowMotion"))
    for matrix in (STILL, shift):
        image = torch.from_numpy(seen(ground, matrix)).permute(2, 0, 1)[None].float()
        image = (image - preprocessor.mean) / preprocessor.std
        found = follower.follow(image, dict(ori_shape=(400, 800)), preprocessor)
    np.testing.assert_allclose(found[:, :2], np.eye(2), atol=2e-3)
    np.testing.assert_allclose(found[:, 2], [12, 10], atol=0.5)


def test_nothing_to_follow_counts_as_still(ground):
    flat = np.full((280, 400, 3), 127, np.uint8)
    motion = SparseFlowMotion()
    assert torch.equal(motion.get_warp_matrix(flat, flat), torch.eye(2, 3))
    view = seen(ground, STILL)
    assert torch.equal(motion.get_warp_matrix(view, flat), torch.eye(2, 3))
    # Nor does a video of another size go on from the last one.
    follower = CameraFollower(dict(type="SparseFlowMotion"))
    for size in (280, 140):
        image = torch.from_numpy(view[:size]).permute(2, 0, 1)[None].float()
        found = follower.follow(image, dict(ori_shape=(size, 400)))
        np.testing.assert_array_equal(found, STILL)


def test_states_follow_the_camera():
    rng = np.random.default_rng(0)
    means = rng.uniform(1, 50, (3, 8))
    root = rng.normal(size=(3, 8, 8))
    moved, covariances = warp_states(means, root @ root.transpose(0, 2, 1), TURN)
    zoom = np.sqrt(np.linalg.det(TURN[:, :2]))
    np.testing.assert_allclose(moved[:, :2], means[:, :2] @ TURN[:, :2].T + TURN[:, 2])
    np.testing.assert_allclose(moved[:, 4:6], means[:, 4:6] @ TURN[:, :2].T)
    np.testing.assert_allclose(moved[:, [2, 6]], means[:, [2, 6]])
    np.testing.assert_allclose(moved[:, [3, 7]], zoom * means[:, [3, 7]])
    # As many samples of the old states, moved one by one, would spread.
    spread = root[0] @ rng.normal(size=(8, 200_000))
    samples = warp_states(means[0] + spread.T, np.zeros((len(spread.T), 8, 8)), TURN)[0]
    np.testing.assert_allclose(np.cov(samples.T), covariances[0], rtol=0.1, atol=0.3)
