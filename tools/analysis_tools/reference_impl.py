"""How FairMOT's reference implementation computes, for benchmark.py to time.

Written from its description: one object at a time, whole maps of all heads. The
tracker gives the same tracks as the plugin's; a training image goes through the same
kinds of work, except for shear, shift and the removal of boxes.
"""

from typing import Any, TypeVar

import cv2
import lap
import numpy as np
import scipy.linalg
import torch
from mmdet.structures import DetDataSample
from mmengine.structures import InstanceData
from scipy.spatial.distance import cdist
from torch.nn.functional import normalize

from fairmot_mm.formats.images import read_image
from fairmot_mm.models import DCNv2, EmbeddingHead, FairMOT, FairMOTHead, JDETracker
from fairmot_mm.models.dense_heads.center_targets import gaussian_radius
from fairmot_mm.models.feature_maps import gather_cells
from fairmot_mm.models.trackers import jde_tracker
from fairmot_mm.models.trackers.detections import Detections, normalised
from fairmot_mm.models.trackers.kalman_filter import GATE

Module = TypeVar("Module", bound=torch.nn.Module)


def use_torchvision(model: Module) -> Module:
    """Compute all deformable convolutions by torchvision's operator."""
    for module in model.modules():
        if isinstance(module, DCNv2):
            module.backend = "torchvision"
    return model


def training_loss(
    model: FairMOT, inputs: torch.Tensor, samples: list[DetDataSample]
) -> torch.Tensor:
    """The joint loss from whole maps."""
    maps = model(inputs, mode="tensor")
    instances = [sample.gt_instances for sample in samples]
    metas = [dict(batch_input_shape=inputs.shape[-2:])] * len(samples)
    head, reid = model.bbox_head, model.reid_head
    if not isinstance(head, FairMOTHead) or not isinstance(reid, EmbeddingHead):
        raise TypeError("the reference implementation has FairMOT's own heads only")
    parts = head.loss_by_feat(
        maps["heatmap"], maps["size"], maps["offset"], instances, metas
    )
    (map_h, map_w), (height, width) = maps["heatmap"].shape[-2:], inputs.shape[-2:]
    targets = head.get_targets(instances, (map_h, map_w), (height, width))
    embeddings = gather_cells(maps["embedding"], targets.image, targets.cell)
    identities = torch.cat([item.instances_ids for item in instances])[targets.kept]
    identity = reid.loss(normalize(embeddings), identities)["loss_id"]
    return model.task_weighting(sum(parts.values()), identity)


def assign(costs: np.ndarray, limit: float) -> tuple[np.ndarray, np.ndarray]:
    """Assignment over all pairs, including those that cannot be matched."""
    if costs.size == 0:
        return np.empty(0, int), np.empty(0, int)
    costs = np.where(np.isinf(costs), 1e5, costs)
    _, columns, _ = lap.lapjv(costs, extend_cost=True, cost_limit=limit)
    rows = np.flatnonzero(columns >= 0)
    return rows, columns[rows]


class TrackByTrack(JDETracker):
    """The tracker with a Python loop over tracks in each of its steps."""

    def update(self, *args: Any, **kwargs: Any) -> InstanceData:
        """See :meth:`JDETracker.update`."""
        ours, jde_tracker.assign = jde_tracker.assign, assign
        try:
            return super().update(*args, **kwargs)
        finally:
            jde_tracker.assign = ours

    def _fused_costs(self, chosen: np.ndarray, detections: Detections) -> np.ndarray:
        tracks, kalman = self._tracks, self.kalman_filter
        costs = np.empty((len(chosen), len(detections)))
        if costs.size == 0:
            return costs
        costs[:] = cdist(tracks.embeddings[chosen], detections.embeddings, "cosine")
        for row, i in enumerate(chosen):
            mean, covariance = tracks.means[i], tracks.covariances[i]
            innovation = kalman._innovation(mean[None], covariance[None])[0]
            factor = np.linalg.cholesky(innovation)
            residual = (detections.measurements - mean[:4]).T
            whitened = scipy.linalg.solve_triangular(factor, residual, lower=True)
            motion = np.square(whitened).sum(0)
            costs[row, motion > GATE] = np.inf
            costs[row] = 0.98 * costs[row] + 0.02 * motion
        return costs

    def _correct(self, matched: np.ndarray, detections: Detections) -> None:
        tracks, kalman = self._tracks, self.kalman_filter
        for j, i in enumerate(matched):
            covariance = tracks.covariances[i]
            innovation = kalman._innovation(tracks.means[i][None], covariance[None])[0]
            factor = scipy.linalg.cho_factor(innovation, lower=True)
            gain = scipy.linalg.cho_solve(factor, covariance[:, :4].T).T
            residual = detections.measurements[j] - tracks.means[i, :4]
            tracks.means[i] += residual @ gain.T
            tracks.covariances[i] -= np.linalg.multi_dot((gain, innovation, gain.T))
            smoothed = 0.9 * tracks.embeddings[i] + 0.1 * detections.embeddings[j]
            tracks.embeddings[i] = normalised(smoothed[None])[0]
            if tracks.tracked[i]:
                tracks.scores[i] = detections.scores[j]
            tracks.last_frame[i] = self._frame
            tracks.tracked[i] = tracks.confirmed[i] = True


def training_image(
    path: str, boxes: np.ndarray, size: tuple[int, int], rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Input (3, H, W) and heatmap (H / 4, W / 4) of one image.

    Args:
        path: The image.
        boxes: (N, 4) xyxy in pixels of the image.
        size: Width and height of the network input.
        rng: Draws the augmentation.
    """
    width, height = size
    image = read_image(path)
    hsv = cv2.cvtColor(image, cv2.COLOR_BGR2HSV)
    for channel, factor in zip((1, 2), rng.uniform(0.5, 1.5, 2), strict=True):
        plane = hsv[:, :, channel].astype(np.float32) * factor
        if factor > 1:
            np.clip(plane, None, 255, out=plane)
        hsv[:, :, channel] = plane.astype(np.uint8)
    cv2.cvtColor(hsv, cv2.COLOR_HSV2BGR, dst=image)
    factor = min(width / image.shape[1], height / image.shape[0])
    inner = round(image.shape[1] * factor), round(image.shape[0] * factor)
    left, top = (width - inner[0]) // 2, (height - inner[1]) // 2
    image = cv2.resize(image, inner, interpolation=cv2.INTER_AREA)
    right, bottom = width - inner[0] - left, height - inner[1] - top
    border = (top, bottom, left, right, cv2.BORDER_CONSTANT)
    image = cv2.copyMakeBorder(image, *border, value=(127.5,) * 3)
    matrix = np.eye(3)
    matrix[:2] = cv2.getRotationMatrix2D(
        (width / 2, height / 2), rng.uniform(-5, 5), rng.uniform(0.5, 1.2)
    )
    image = cv2.warpPerspective(
        image, matrix, size, flags=cv2.INTER_LINEAR, borderValue=(127.5,) * 3
    )
    boxes = boxes * factor + [left, top, left, top]
    middle = (boxes[:, :2] + boxes[:, 2:]) / 2 @ matrix[:2, :2].T + matrix[:2, 2]
    image = np.ascontiguousarray(image[:, :, ::-1]).astype(np.float32) / 255
    heatmap = np.zeros((height // 4, width // 4), np.float32)
    for (x, y), box in zip(middle / 4, boxes / 4, strict=True):
        sides = torch.tensor(box[2:] - box[:2]).ceil()
        _draw(heatmap, int(x), int(y), int(gaussian_radius(sides[1:], sides[:1])))
    return image.transpose(2, 0, 1).copy(), heatmap


def _draw(heatmap: np.ndarray, x: int, y: int, radius: int) -> None:
    height, width = heatmap.shape
    if not (0 <= x < width and 0 <= y < height):
        return
    steps = np.arange(-radius, radius + 1)
    sigma = (2 * radius + 1) / 6
    patch = np.exp(-(steps[:, None] ** 2 + steps**2) / (2 * sigma * sigma))
    left, right = min(x, radius), min(width - x, radius + 1)
    top, bottom = min(y, radius), min(height - y, radius + 1)
    target = heatmap[y - top : y + bottom, x - left : x + right]
    source = patch[radius - top : radius + bottom, radius - left : radius + right]
    np.maximum(target, source, out=target)
