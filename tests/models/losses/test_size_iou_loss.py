import pytest
import torch

from fairmot_mm.models import SizeIoULoss


def test_l1_and_iou_of_boxes_around_one_centre_by_hand():
    loss = SizeIoULoss(loss_weight=0.5, iou_weight=2.0)
    output = torch.tensor([[1.0, 2.0, 1.0, 2.0], [2.0, 2.0, 2.0, 2.0]])
    target = torch.tensor([[2.0, 2.0, 1.0, 2.0], [2.0, 2.0, 2.0, 2.0]])
    # 8 of 12 cells are shared, and nothing is left of the hull: GIoU is IoU.
    expected = 0.5 * 1 / 8 + 2.0 * (1 - 8 / 12) / 2
    assert loss(output, target, torch.tensor(8.0)).item() == pytest.approx(expected)


def test_width_and_height_are_boxes_as_well():
    loss = SizeIoULoss(loss_weight=0.0)
    output, target = torch.tensor([[2.0, 4.0]]), torch.tensor([[4.0, 4.0]])
    assert loss(output, target, torch.tensor(2.0)).item() == pytest.approx(0.5)


def test_negative_sizes_of_a_young_network_learn():
    output = torch.tensor([[-1.0, 1.0, 2.0, 1.0]], requires_grad=True)
    SizeIoULoss()(output, torch.ones(1, 4), torch.tensor(4.0)).backward()
    assert output.grad[0, 0] < 0  # descent makes it larger
    assert output.grad.isfinite().all()
