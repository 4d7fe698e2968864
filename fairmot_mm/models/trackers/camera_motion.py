"""Motion of the camera between frames, and tracks that follow it."""

import cv2
import numpy as np
import torch
from mmengine.logging import print_log
from mmengine.model import ImgDataPreprocessor
from torch import Tensor

from fairmot_mm.registry import TASK_UTILS
from fairmot_mm.structures.letterbox import input_to_image

from .detections import LARGEST_COORDINATE
from .kalman_filter import States


@TASK_UTILS.register_module()
class SparseFlowMotion:
    """Camera motion from the optical flow of corners.

    Corners are followed by pyramidal Lucas-Kanade; RANSAC finds the similarity that
    most of them agree on, so that moving objects are outvoted. Has the interface of
    ``mmdet.CameraMotionCompensation``, which aligns whole images.

    Args:
        max_corners: Corners to follow.
        min_inliers: With fewer corners that agree the camera counts as still.
    """

    def __init__(self, max_corners: int = 500, min_inliers: int = 10) -> None:
        self.max_corners = max_corners
        self.min_inliers = min_inliers

    def get_warp_matrix(self, img: np.ndarray, ref_img: np.ndarray) -> Tensor:
        """Estimate the motion (2, 3) from one frame (H, W, 3), uint8, to the next.

        It takes pixels of ``img`` to those of ``ref_img``; the identity where too
        little can be followed.
        """
        still = torch.eye(2, 3)
        before, after = (cv2.cvtColor(i, cv2.COLOR_BGR2GRAY) for i in (img, ref_img))
        corners = cv2.goodFeaturesToTrack(
            before, self.max_corners, qualityLevel=0.01, minDistance=5
        )
        if corners is None:
            return still
        moved, followed, _ = cv2.calcOpticalFlowPyrLK(
            before, after, corners, np.empty_like(corners)
        )
        corners, moved = (side[followed.ravel() == 1] for side in (corners, moved))
        if len(corners) < self.min_inliers:
            return still
        matrix, inliers = cv2.estimateAffinePartial2D(
            corners, moved, ransacReprojThreshold=2
        )
        if matrix is None or inliers.sum() < self.min_inliers:
            return still
        return torch.from_numpy(matrix).float()


class CameraFollower:
    """Camera motion in pixels of the original image, from the network's inputs.

    Args:
        cfg: The estimator: ``SparseFlowMotion`` or ``mmdet.CameraMotionCompensation``.

    Attributes:
        cfg: The same.
    """

    def __init__(self, cfg: dict) -> None:
        self.cfg = cfg
        self.estimator = TASK_UTILS.build(cfg)
        self.reset()

    def reset(self) -> None:
        """Start a new video."""
        self._last: np.ndarray | None = None

    def follow(
        self,
        image: Tensor | None,
        metas: dict,
        data_preprocessor: ImgDataPreprocessor | None = None,
    ) -> np.ndarray:
        """Motion (2, 3) from the last frame's original image to this one's, in pixels.

        Args:
            image: (1, 3, H, W), the network's input.
            metas: The frame's, for the way from the input to the image.
            data_preprocessor: Its ``mean`` and ``std`` normalised the input.
        """
        if image is None:
            raise ValueError("camera_motion needs img, the network's input")
        frame = _to_pixels(image, data_preprocessor)
        last, self._last = self._last, frame
        if last is None or last.shape != frame.shape:
            return np.eye(2, 3)
        try:
            matrix = self.estimator.get_warp_matrix(last, frame).numpy()
        except cv2.error as error:  # the alignment of whole images may not converge
            print_log(f"camera taken to be still: {error}", logger="current")
            return np.eye(2, 3)
        return _in_image(matrix, metas, frame.shape[:2])


def warp_states(
    means: np.ndarray, covariances: np.ndarray, matrix: np.ndarray
) -> States:
    """States of a :class:`KalmanFilter` as seen after the camera's motion (2, 3).

    They stay as they are, with a log entry, unless the motion is a similarity that
    scales by 0.5 to 2: no camera moves otherwise.
    """
    linear, shift = matrix[:, :2], matrix[:, 2]
    if not (
        np.abs(matrix).max() <= LARGEST_COORDINATE  # false for NaN
        and np.linalg.det(linear) > 0
        and np.abs(np.log2(np.linalg.svd(linear, compute_uv=False))).max() <= 1
    ):
        print_log(f"camera taken to be still, not {matrix.tolist()}", logger="current")
        return means, covariances
    change = np.eye(8)
    for start in (0, 4):  # positions, then velocities
        change[start : start + 2, start : start + 2] = linear
        change[start + 3, start + 3] = np.sqrt(np.linalg.det(linear))
    means = means @ change.T
    means[:, :2] += shift
    return means, change @ covariances @ change.T


def _to_pixels(image: Tensor, preprocessor: ImgDataPreprocessor) -> np.ndarray:
    """Network input (1, 3, H, W) as (H, W, 3) uint8, in whatever order of channels."""
    if getattr(preprocessor, "_enable_normalize", False):
        std, mean = (v.to(image.device) for v in (preprocessor.std, preprocessor.mean))
        image = image * std + mean
    pixels = image[0].clamp(0, 255).permute(1, 2, 0).byte().cpu().numpy()
    return np.ascontiguousarray(pixels)


def _in_image(matrix: np.ndarray, metas: dict, input_hw: tuple[int, int]) -> np.ndarray:
    """A motion in pixels of the network input as one in pixels of the image."""
    corners = np.array([[0, 0], [input_hw[1], 0], [0, input_hw[0]]], np.float32)
    moved = (corners @ matrix[:, :2].T + matrix[:, 2]).astype(np.float32)
    # input_to_image() maps the two corners of boxes.
    boxes = torch.from_numpy(np.concatenate((corners, moved), axis=1))
    ends = input_to_image(boxes, metas, input_hw).numpy()
    return cv2.getAffineTransform(ends[:, :2].copy(), ends[:, 2:].copy())
