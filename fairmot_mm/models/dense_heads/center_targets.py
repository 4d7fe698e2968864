from collections.abc import Sequence
from dataclasses import dataclass

import torch
from mmengine.structures import InstanceData
from torch import Tensor

from fairmot_mm.structures.letterbox import image_to_input


@dataclass
class CenterTargets:
    """Training targets of a batch with M objects.

    Attributes:
        heatmap: (N, C, h, w), 1 at the centres, Gaussian around them.
        image: (M,) index of the object's image in the batch.
        cell: (M,) flat index ``y * w + x`` of the object's centre.
        size: (M, 4) left, top, right, bottom or (M, 2) width, height, in cells.
        offset: (M, 2) position of the centre within its cell.
        kept: Boolean mask over the objects given, false where a box has no extent; M is
            its sum.
    """

    heatmap: Tensor
    image: Tensor
    cell: Tensor
    size: Tensor
    offset: Tensor
    kept: Tensor


def gaussian_radius(height: Tensor, width: Tensor, min_overlap: float = 0.7) -> Tensor:
    """Radius (M,) within which shifted boxes keep an IoU of ``min_overlap``.

    In cells, rounded down, as are ``height`` (M,) and ``width`` (M,). As CornerNet
    computes it (Law and Deng, arXiv:1808.01244, section 3.2), including its error in
    the roots of the second and third case, which the reference implementation shares:
    MMDetection's corrected helper gives other heatmaps.
    """
    device = height.device
    if device.type == "mps":  # has no double precision, and single gives other radii
        radius = gaussian_radius(height.cpu(), width.cpu(), min_overlap)
        return radius.float().to(device)
    total, area = (height + width).double(), (height * width).double()

    def root(a: float, b: Tensor, c: Tensor) -> Tensor:
        return (b + (b * b - 4 * a * c).sqrt()) / 2

    overlap, rest = min_overlap, 1 - min_overlap
    radii = (
        root(1, total, area * rest / (1 + overlap)),
        root(4, 2 * total, area * rest),
        root(4 * overlap, -2 * overlap * total, -rest * area),
    )
    return torch.stack(radii).amin(0).floor().clamp(min=0)


def _draw_gaussians(
    heatmap: Tensor, plane: Tensor, x: Tensor, y: Tensor, radius: Tensor
) -> None:
    """Raise ``heatmap`` (P, h, w) to a Gaussian patch around each object, in place."""
    height, width = heatmap.shape[-2:]
    flat = heatmap.view(-1)
    # Objects of similar radius share a patch size: one large object would make all
    # patches large.
    buckets = torch.ceil(torch.log2(radius + 1))
    for bucket in buckets.unique().tolist():
        chosen = buckets == bucket
        reach = int(radius[chosen].max())
        steps = torch.arange(-reach, reach + 1, device=heatmap.device)
        r, cx, cy = (v[chosen].view(-1, 1, 1) for v in (radius, x, y))
        dx, dy = steps.view(1, 1, -1), steps.view(1, -1, 1)
        sigma = (2 * r + 1) / 6
        value = torch.exp(-(dx * dx + dy * dy) / (2 * sigma * sigma))
        px, py = cx + dx, cy + dy
        inside = (dx.abs() <= r) & (dy.abs() <= r)
        inside = inside & (px >= 0) & (px < width) & (py >= 0) & (py < height)
        index = (plane[chosen].view(-1, 1, 1) * height + py) * width + px
        flat.scatter_reduce_(0, index[inside], value[inside].to(flat.dtype), "amax")


def center_targets(
    instances: Sequence[InstanceData],
    num_classes: int,
    map_hw: Sequence[int],
    input_hw: Sequence[int],
    ltrb: bool = True,
) -> CenterTargets:
    """Encode boxes as centre points (FairMOT, section 3.2.1), in the order given.

    The centre is clipped to the map, the box is not: left, top, right and bottom then
    still reach the sides of a box that leaves the image.

    Args:
        instances: Per image ``bboxes`` (n, 4) xyxy in pixels of the network input and
            ``labels`` (n,).
        num_classes: Classes, i.e. channels of the heatmap.
        map_hw: Height and width of the map in cells.
        input_hw: Height and width of the network input in pixels.
        ltrb: Whether sizes are left, top, right, bottom; width, height if not.

    Raises:
        ValueError: If a label is not below ``num_classes``.
    """
    (height, width), (input_h, input_w) = map_hw, input_hw
    boxes = torch.cat([item.bboxes for item in instances]).float()
    labels = torch.cat([item.labels for item in instances])
    if len(labels) and labels.max() >= num_classes:
        raise ValueError(
            f"label {int(labels.max())} in gt_instances.labels, but "
            f"model.bbox_head.num_classes is {num_classes}: it must be the number of "
            "classes in the data (metainfo.classes)"
        )
    counts = torch.tensor([len(item) for item in instances], device=boxes.device)
    image = torch.repeat_interleave(counts)

    # Normalised by the input and multiplied by the map, in this order and in float32,
    # as in the reference implementation: otherwise a centre on the border of two cells
    # may fall into the other one.
    scale_in = boxes.new_tensor([input_w, input_h])
    scale_out = boxes.new_tensor([width, height])
    extent = (boxes[:, 2:] - boxes[:, :2]) / scale_in * scale_out
    middle = (boxes[:, :2] + boxes[:, 2:]) / 2 / scale_in * scale_out
    kept = (extent > 0).all(1)
    extent, middle, labels, image = (v[kept] for v in (extent, middle, labels, image))

    center = middle.clamp(min=0).minimum(scale_out - 1)
    cell = center.long()
    if ltrb:
        top_left = middle - extent / 2
        size = torch.cat((center - top_left, top_left + extent - center), dim=1)
    else:
        size = extent
    radius = gaussian_radius(extent[:, 1].ceil(), extent[:, 0].ceil())
    heatmap = boxes.new_zeros((len(instances), num_classes, height, width))
    planes = heatmap.view(-1, height, width)
    x, y = cell.unbind(1)
    _draw_gaussians(planes, image * num_classes + labels, x, y, radius)
    return CenterTargets(heatmap, image, y * width + x, size, center - cell, kept)


def cells_of_boxes(
    boxes: Tensor, meta: dict, map_hw: Sequence[int], input_hw: Sequence[int]
) -> tuple[Tensor, Tensor]:
    """The cells that training reads for some boxes of an image.

    Args:
        boxes: (n, 4) xyxy in pixels of the original image.
        meta: The image's, for the way from there to the network input.
        map_hw: Height and width of the map in cells.
        input_hw: Height and width of the network input in pixels.

    Returns:
        (n,) flat index ``y * w + x``; and (n,) bool, false where the centre is outside
        the image or the box has no extent.
    """
    center = (boxes[:, :2] + boxes[:, 2:]) / 2
    inside = (
        (center >= 0) & (center < center.new_tensor(meta["ori_shape"][1::-1]))
    ).all(1)
    cells = torch.zeros_like(inside, dtype=torch.long)
    instances = InstanceData(
        bboxes=image_to_input(boxes, meta, input_hw),
        labels=cells,  # any: the cells are those of all classes
    )
    targets = center_targets([instances], 1, map_hw, input_hw)
    cells = cells.masked_scatter(targets.kept, targets.cell)
    return cells, inside & targets.kept
