"""Frames of a validation as the network sees them."""

import cv2
import numpy as np
import torch
from mmdet.structures import DetDataSample
from torch import Tensor

from fairmot_mm.structures.arrays import to_numpy
from fairmot_mm.structures.letterbox import image_to_input

from .primitives import RED, WHITE, Colour, identity_colour, put_text, whole_pixels


def draw_validation_frame(
    inputs: Tensor, frame: DetDataSample, heatmap: Tensor | None = None
) -> np.ndarray:
    """Draw the tracks, the true boxes if there are any, and what the network answers.

    The heatmap is overlaid in red. Tracks have the colour of their identity and its
    number, true boxes are white.

    Args:
        inputs: (3, H, W) RGB in [0, 1], the network input.
        frame: Its ``pred_track_instances`` and ``gt_instances``, in pixels of the
            original image, and the metas that lead there.
        heatmap: (C, h, w) scores from 0 to 1.

    Returns:
        (H, W, 3) uint8 BGR.
    """
    pixels = (255 * inputs.flip(0)).clamp(0, 255).permute(1, 2, 0)
    image = np.ascontiguousarray(to_numpy(pixels).astype(np.uint8))
    height, width = image.shape[:2]
    if heatmap is not None:
        scores = to_numpy(heatmap).max(0)
        scores = cv2.resize(scores, (width, height), interpolation=cv2.INTER_NEAREST)
        share = 0.7 * scores[..., None]
        image = (image * (1 - share) + np.array(RED) * share).astype(np.uint8)

    def draw(boxes: Tensor, colours: list[Colour], captions: list[str]) -> None:
        placed = image_to_input(boxes.cpu().float(), frame.metainfo, (height, width))
        corners = whole_pixels(to_numpy(placed)).tolist()
        for (x1, y1, x2, y2), colour, text in zip(
            corners, colours, captions, strict=True
        ):
            cv2.rectangle(image, (x1, y1), (x2, y2), colour, 1)
            if text:
                put_text(image, text, (x1, y1), colour)

    true = frame.get("gt_instances", {}).get("bboxes", torch.zeros(0, 4))
    draw(true, [WHITE] * len(true), [""] * len(true))
    tracks = frame.pred_track_instances
    identities = to_numpy(tracks.instances_id).tolist()
    draw(tracks.bboxes, [*map(identity_colour, identities)], [*map(str, identities)])
    return image
