"""Training samples as the network will see them."""

from collections.abc import Sequence

import cv2
import numpy as np
import torch
from mmdet.structures import DetDataSample
from mmengine.structures import InstanceData

from fairmot_mm.models.dense_heads.center_targets import center_targets

from .primitives import GREY, RED, WHITE, draw_box, identity_colour


def draw_training_sample(
    inputs: torch.Tensor,
    sample: DetDataSample,
    class_names: Sequence[str],
    stride: int = 4,
) -> np.ndarray:
    """Draw boxes, identities and the target heatmap: (H, W, 3) uint8 BGR.

    The heatmap is overlaid in red. Boxes have the colour of their identity and its
    number (and class, if there are several); those without identity are white, ignored
    ones grey.

    Args:
        inputs: (3, H, W) uint8 BGR, the network input.
        sample: Its ``gt_instances`` and ``ignored_instances``.
        class_names: By label.
        stride: Pixels of the input per cell of the heatmap.
    """
    image = np.ascontiguousarray(inputs.permute(1, 2, 0).numpy())
    height, width = image.shape[:2]
    instances = sample.gt_instances
    boxes = _boxes(instances)
    targets = center_targets(
        [InstanceData(bboxes=torch.as_tensor(boxes), labels=instances.labels)],
        len(class_names),
        (height // stride, width // stride),
        (height, width),
    )
    heatmap = targets.heatmap[0].amax(0).numpy()
    heatmap = cv2.resize(heatmap, (width, height), interpolation=cv2.INTER_NEAREST)
    share = 0.7 * heatmap[..., None]
    image = (image * (1 - share) + np.array(RED) * share).astype(np.uint8)

    for box in _boxes(sample.ignored_instances):
        draw_box(image, box, GREY, "")
    identities = instances.get("instances_ids", torch.full((len(boxes),), -1))
    for box, label, identity in zip(
        boxes, instances.labels.tolist(), identities.tolist(), strict=True
    ):
        colour = identity_colour(identity) if identity >= 0 else WHITE
        caption = [str(identity)] if identity >= 0 else []
        caption += [class_names[label]] if len(class_names) > 1 else []
        draw_box(image, box, colour, " ".join(caption))
    return image


def contact_sheet(images: Sequence[np.ndarray], width: int = 1920) -> np.ndarray:
    """Images (H, W, 3) of one size side by side, about as many rows as columns.

    The sheet is at most ``width`` pixels wide.
    """
    columns = max(1, round(len(images) ** 0.5))
    height, full = images[0].shape[:2]
    size = width // columns, max(1, round(height * (width // columns) / full))
    tiles = [cv2.resize(i, size, interpolation=cv2.INTER_AREA) for i in images]
    tiles += [np.zeros_like(tiles[0])] * (-len(tiles) % columns)
    rows = [np.hstack(tiles[i : i + columns]) for i in range(0, len(tiles), columns)]
    return np.vstack(rows)


def _boxes(instances: InstanceData) -> np.ndarray:
    boxes = instances.get("bboxes", torch.zeros(0, 4))
    return getattr(boxes, "tensor", boxes).numpy()
