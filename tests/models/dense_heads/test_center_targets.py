import math

import pytest
import torch
from mmengine.structures import InstanceData
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode

from fairmot_mm.models.dense_heads.center_targets import center_targets, gaussian_radius


def instances(boxes: list | torch.Tensor, labels: list | None = None) -> InstanceData:
    boxes = torch.as_tensor(boxes, dtype=torch.float32).reshape(-1, 4)
    labels = torch.zeros(len(boxes)) if labels is None else torch.tensor(labels)
    return InstanceData(bboxes=boxes, labels=labels.long())


def test_equal_the_published_ones(golden):
    numbers = golden("targets.npz")
    batch = [instances(torch.from_numpy(numbers[f"boxes{i}"])) for i in range(3)]
    targets = center_targets(batch, 1, (40, 64), tuple(numbers["input_hw"]))
    for i in range(3):
        own = targets.image == i
        count = int(own.sum())
        assert count == numbers[f"reg_mask{i}"].sum()
        heatmap = torch.from_numpy(numbers[f"hm{i}"])
        assert torch.allclose(targets.heatmap[i], heatmap, atol=1e-6)
        assert torch.equal(targets.heatmap[i] == 1, heatmap == 1)
        assert targets.cell[own].tolist() == numbers[f"ind{i}"][:count].tolist()
        for key, given in (("wh", targets.size), ("reg", targets.offset)):
            expected = torch.from_numpy(numbers[f"{key}{i}"][:count])
            assert torch.allclose(given[own], expected, atol=1e-5)


def test_a_box_by_hand():
    # 40x80 pixels around (50, 70): centre (12.5, 17.5) in cells of 4 pixels.
    targets = center_targets([instances([[30, 30, 70, 110]])], 1, (32, 32), (128, 128))
    assert targets.cell.tolist() == [17 * 32 + 12]
    assert targets.offset.tolist() == [[0.5, 0.5]]
    assert targets.size.tolist() == [[5, 10, 5, 10]]
    heatmap = targets.heatmap[0, 0]
    assert heatmap[17, 12] == 1
    radius = int(gaussian_radius(torch.tensor([20.0]), torch.tensor([10.0])))
    sigma = (2 * radius + 1) / 6
    assert heatmap[17, 13].item() == pytest.approx(math.exp(-1 / (2 * sigma**2)))
    assert heatmap[17, 12 + radius] > 0
    assert heatmap[17, 13 + radius] == 0


def test_width_and_height_instead_of_sides():
    batch = [instances([[30, 30, 70, 110]])]
    targets = center_targets(batch, 1, (32, 32), (128, 128), ltrb=False)
    assert targets.size.tolist() == [[10, 20]]


def test_a_centre_outside_is_clipped_and_the_box_is_not():
    targets = center_targets([instances([[-60, 0, 20, 40]])], 1, (32, 32), (128, 128))
    assert targets.cell.tolist() == [5 * 32]
    assert targets.size.tolist() == [[15, 5, 5, 5]]


def test_classes_have_planes_and_overlaps_keep_the_maximum():
    boxes = [[0, 0, 64, 64], [8, 0, 72, 64], [0, 0, 64, 64]]
    batch = [instances(boxes, [0, 0, 2])]
    alone = [center_targets([instances([b])], 1, (32, 32), (128, 128)) for b in boxes]
    heatmap = center_targets(batch, 3, (32, 32), (128, 128)).heatmap[0]
    both = torch.maximum(alone[0].heatmap[0, 0], alone[1].heatmap[0, 0])
    assert torch.equal(heatmap[0], both)
    assert heatmap[1].count_nonzero() == 0
    assert torch.equal(heatmap[2], alone[0].heatmap[0, 0])


def test_boxes_without_extent_are_left_out_and_said_so():
    batch = [instances([[5, 5, 5, 20], [10, 10, 30, 30]]), instances([])]
    targets = center_targets(batch, 1, (32, 32), (128, 128))
    assert targets.kept.tolist() == [False, True]
    assert targets.image.tolist() == [0]
    assert targets.heatmap[1].count_nonzero() == 0


def test_no_object_at_all():
    targets = center_targets([instances([])], 1, (8, 8), (32, 32))
    assert targets.cell.shape == (0,)
    assert targets.size.shape == (0, 4)
    assert targets.heatmap.shape == (1, 1, 8, 8)


class DoublePrecision(TorchDispatchMode):
    """Devices that were asked for double precision."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.devices = getattr(self, "devices", set())
        out = func(*args, **(kwargs or {}))
        if isinstance(out, torch.Tensor) and out.dtype == torch.float64:
            self.devices.add(out.device.type)
        return out


def test_radii_need_no_double_precision_of_apples_gpus():
    with FakeTensorMode(), DoublePrecision() as asked:
        radius = gaussian_radius(*torch.ones(2, 3, device="mps"))
    assert (radius.device.type, radius.dtype) == ("mps", torch.float32)
    assert asked.devices == {"cpu"}
