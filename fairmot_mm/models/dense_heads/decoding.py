"""From maps to boxes: what the network and its exported graph have in common."""

from collections.abc import Sequence

import torch
from mmdet.models.utils import get_local_maximum, get_topk_from_heatmap
from torch import Tensor


def find_peaks(heatmap: Tensor, topk: int) -> tuple[Tensor, Tensor, Tensor]:
    """The highest peaks of a heatmap: cells that none of eight neighbours exceeds.

    Args:
        heatmap: (N, C, h, w) logits.
        topk: Greatest number of peaks.

    Returns:
        Best first, (N, K) each: scores, 0 where there are fewer peaks; labels; and
        cells, the flat index ``y * w + x``.
    """
    peaks = get_local_maximum(heatmap.float().sigmoid(), kernel=3)
    # The toolbox expects class-major (NCHW) memory order.
    scores, cells, labels, *_ = get_topk_from_heatmap(
        peaks.contiguous(), k=min(topk, peaks[0].numel())
    )
    return scores, labels, cells


def decode_boxes(
    cells: Tensor,
    size: Tensor,
    offset: Tensor,
    map_hw: Sequence[int],
    input_hw: Sequence[int],
) -> Tensor:
    """Boxes (K, 4) xyxy in pixels of the network input.

    Args:
        cells: (K,) flat index ``y * w + x``.
        size: (K, 4) left, top, right, bottom or (K, 2) width, height, in cells.
        offset: (K, 2) of the centre, in cells.
        map_hw: Height and width of the map in cells.
        input_hw: Height and width of the network input in pixels.
    """
    height, width = map_hw
    size = size.float()
    if size.shape[-1] == 2:
        size = size.repeat(1, 2) / 2
    center = torch.stack((cells % width, cells // width), dim=-1).float() + offset
    boxes = torch.cat((center - size[:, :2], center + size[:, 2:]), dim=-1)
    return boxes * boxes.new_tensor([input_hw[1] / width, input_hw[0] / height] * 2)
