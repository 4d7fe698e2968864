"""Motion of the camera between frames, and tracks that follow it."""

import cv2
import numpy as np
import torch
from mmengine.logging import print_log
from mmengine.model import BaseDataPreprocessor
from torch import Tensor

from fairmot_mm.registry import TASK_UTILS
from fairmot_mm.structures.letterbox import input_to_image


@TASK_UTILS.register_module()
class SparseFlowMotion:
    """Camera motion from the optical flow of corners.

    Corners are followed by pyramidal Lucas-Kanade; RANSAC finds the similarity that
    most of them agree on, so that what moves by itself is outvoted. Shares its
    interface with ``mmdet.CameraMotionCompensation``, which aligns whole images.

    Args:
        max_corners (int): Corners to follow.
        min_inliers (int): With fewer corners that agree the camera counts as still.
    """

    def __init__(self, max_corners: int = 500, min_inliers: int = 10) -> None:
        self.max_corners = max_corners
        self.min_inliers = min_inliers

    def get_warp_matrix(self, img: np.ndarray, ref_img: np.ndarray) -> Tensor:
        """Estimate the motion from one frame to the next.

        Args:
            img (np.ndarray): (H, W, 3) uint8, the earlier frame.
            ref_img (np.ndarray): (H, W, 3) uint8, the later frame.

        Returns:
            Tensor: (2, 3), takes pixels of the earlier frame to those of the later;
            the identity where too little can be followed.
        """
        before, after = (cv2.cvtColor(i, cv2.COLOR_BGR2GRAY) for i in (img, ref_img))
        corners = cv2.goodFeaturesToTrack(
            before, self.max_corners, qualityLevel=0.01, minDistance=5
        )
        matrix, inliers = None, np.zeros(0)
        if corners is not None and len(corners) >= self.min_inliers:
            moved, found, _ = cv2.calcOpticalFlowPyrLK(before, after, corners, None)
            found = found.ravel() == 1
            if found.sum() >= self.min_inliers:
                matrix, inliers = cv2.estimateAffinePartial2D(
                    corners[found], moved[found], ransacReprojThreshold=2
                )
        if matrix is None or inliers.sum() < self.min_inliers:
            return torch.eye(2, 3)
        return torch.from_numpy(matrix).float()


class CameraFollower:
    """Feeds frames to an estimator and speaks in pixels of the original image.

    Args:
        cfg (dict): The estimator: ``SparseFlowMotion`` or
            ``mmdet.CameraMotionCompensation``.
    """

    def __init__(self, cfg: dict) -> None:
        self.estimator = TASK_UTILS.build(cfg)
        self.reset()

    def reset(self) -> None:
        """Start a new video."""
        self._last: np.ndarray | None = None

    def follow(
        self,
        image: Tensor,
        metas: dict,
        data_preprocessor: BaseDataPreprocessor | None = None,
    ) -> np.ndarray:
        """Motion since the last frame.

        Args:
            image (Tensor): (1, 3, H, W), the network's input.
            metas (dict): The frame's, for the way from the input to the image.
            data_preprocessor (BaseDataPreprocessor | None): Whose ``mean`` and ``std``
                normalised the input.

        Returns:
            np.ndarray: (2, 3), takes pixels of the last frame's original image to
            those of this one's.
        """
        frame = _to_pixels(image[0], data_preprocessor)
        last, self._last = self._last, frame
        if last is None or last.shape != frame.shape:
            return np.eye(2, 3)
        try:
            matrix = self.estimator.get_warp_matrix(last, frame).numpy()
        except cv2.error as error:  # the alignment of whole images may not converge
            print_log(f"camera taken for still: {error}", logger="current")
            return np.eye(2, 3)
        return _in_image(matrix, metas, frame.shape[:2])


def warp_states(
    means: np.ndarray, covariances: np.ndarray, matrix: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Move the states of tracks along with the camera.

    Args:
        means (np.ndarray): (N, 8), centre, aspect ratio, height and their velocities.
        covariances (np.ndarray): (N, 8, 8).
        matrix (np.ndarray): (2, 3), a similarity.

    Returns:
        tuple[np.ndarray, np.ndarray]: Means and covariances as the new frame sees them.
    """
    linear, shift = matrix[:, :2], matrix[:, 2]
    change = np.eye(8)
    for start in (0, 4):  # positions, then velocities
        change[start : start + 2, start : start + 2] = linear
        change[start + 3, start + 3] = np.sqrt(abs(np.linalg.det(linear)))
    means = means @ change.T
    means[:, :2] += shift
    return means, change @ covariances @ change.T


def _to_pixels(
    image: Tensor, data_preprocessor: BaseDataPreprocessor | None
) -> np.ndarray:
    """Network input (3, H, W) as (H, W, 3) uint8, in whatever order of channels."""
    if getattr(data_preprocessor, "_enable_normalize", False):
        std, mean = (
            value.view(3, 1, 1).to(image.device)
            for value in (data_preprocessor.std, data_preprocessor.mean)
        )
        image = image * std + mean
    pixels = image.clamp(0, 255).permute(1, 2, 0).byte().cpu().numpy()
    return np.ascontiguousarray(pixels)


def _in_image(matrix: np.ndarray, metas: dict, input_hw: tuple[int, int]) -> np.ndarray:
    """A motion in pixels of the network input as one in pixels of the image."""
    corners = np.float32([[0, 0], [input_hw[1], 0], [0, input_hw[0]]])
    moved = (corners @ matrix[:, :2].T + matrix[:, 2]).astype(np.float32)
    ends = torch.from_numpy(np.concatenate((corners, moved), axis=1))
    # A box's corners are points, and those are what is mapped.
    ends = input_to_image(ends, metas, input_hw).numpy()
    return cv2.getAffineTransform(ends[:, :2].copy(), ends[:, 2:].copy())
