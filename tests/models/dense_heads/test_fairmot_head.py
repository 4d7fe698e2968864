import pytest
import torch
from mmengine.structures import InstanceData

from fairmot_mm.models import FairMOTHead


def instances(boxes) -> InstanceData:
    boxes = torch.as_tensor(boxes, dtype=torch.float32).reshape(-1, 4)
    return InstanceData(bboxes=boxes, labels=torch.zeros(len(boxes)).long())


def test_losses_and_gradients_equal_the_published_ones(golden):
    numbers = golden("loss.npz")
    maps = {
        key: torch.from_numpy(numbers[f"out_{key}"]).requires_grad_()
        for key in ("hm", "wh", "reg")
    }
    batch = [instances(numbers[f"boxes{i}"]) for i in range(3)]
    metas = [dict(batch_input_shape=tuple(numbers["input_hw"]))] * 3
    losses = FairMOTHead(64).loss_by_feat(*maps.values(), batch, metas)
    expected = [numbers["hm_loss"], 0.1 * numbers["wh_loss"], numbers["off_loss"]]
    for loss, value in zip(losses.values(), expected, strict=True):
        assert loss.item() == pytest.approx(value, rel=1e-5)
    # The published gradients are those of the weighted sum.
    (sum(losses.values()) * 0.5 * torch.exp(torch.tensor(1.85))).backward()
    for key, tensor in maps.items():
        gradient = torch.from_numpy(numbers[f"grad_{key}"])
        error = (tensor.grad - gradient).abs().max() / gradient.abs().max()
        assert error < 1e-4


def test_decoding_equals_the_published_one(golden):
    numbers = golden("decode.npz")
    head = FairMOTHead(64, test_cfg=dict(topk=100))
    for i in range(2):
        maps = (torch.from_numpy(numbers[f"{key}{i}"]) for key in ("hm", "wh", "reg"))
        meta = dict(ori_shape=tuple(numbers[f"image_hw{i}"]))
        (found,) = head.predict_by_feat(
            *maps, [meta], input_hw=tuple(numbers[f"input_hw{i}"])
        )
        expected = torch.from_numpy(numbers[f"dets{i}"])
        found = found[found.scores > float(numbers["score_thr"])]
        assert len(found) == len(expected)
        assert torch.allclose(found.bboxes, expected[:, :4], atol=1e-3, rtol=0)
        assert torch.allclose(found.scores, expected[:, 4], atol=1e-6)


def peak_maps(ltrb: bool = True) -> tuple[torch.Tensor, ...]:
    """One peak of class 1 at cell (5, 3), 8x12 cells large."""
    heatmap = torch.full((1, 2, 8, 16), -9.0)
    heatmap[0, 1, 3, 5] = 4.0
    heatmap[0, 1, 3, 6] = 3.0  # beside the peak, hence none
    size = torch.zeros(1, 4 if ltrb else 2, 8, 16)
    sides = [1.0, 2.0, 7.0, 10.0] if ltrb else [8.0, 12.0]
    size[0, :, 3, 5] = torch.tensor(sides)
    offset = torch.zeros(1, 2, 8, 16)
    offset[0, :, 3, 5] = torch.tensor([0.25, 0.5])
    return heatmap, size, offset


@pytest.mark.parametrize(
    ("ltrb", "cells"),
    [(True, [4.25, 1.5, 12.25, 13.5]), (False, [1.25, -2.5, 9.25, 9.5])],
)
def test_a_peak_by_hand(ltrb, cells):
    head = FairMOTHead(64, num_classes=2, ltrb=ltrb)
    meta = dict(ori_shape=(32, 64), batch_input_shape=(32, 64))
    (found,) = head.predict_by_feat(*peak_maps(ltrb), [meta])
    assert found.labels[0] == 1
    assert found.cells[0] == 3 * 16 + 5
    assert found.scores[0].item() == pytest.approx(torch.tensor(4.0).sigmoid().item())
    assert torch.allclose(found.bboxes[0], 4 * torch.tensor(cells))


def test_fresh_head_takes_a_tenth_of_the_map_for_centres():
    heatmap, size, offset = FairMOTHead(8, num_classes=3)([torch.zeros(1, 8, 4, 4)])
    assert torch.allclose(heatmap.sigmoid(), torch.tensor(0.1), atol=1e-3)
    assert (heatmap.shape[1], size.shape[1], offset.shape[1]) == (3, 4, 2)


def test_an_image_without_objects_has_a_finite_loss():
    head = FairMOTHead(8)
    maps = head([torch.randn(1, 8, 4, 4)])
    metas = [dict(batch_input_shape=(16, 16))]
    losses = head.loss_by_feat(*maps, [instances([])], metas)
    assert losses["loss_heatmap"] > 0
    assert losses["loss_size"] == losses["loss_offset"] == 0
    sum(losses.values()).backward()
    # Every branch takes part, or distributed training would wait for it.
    assert all(p.grad is not None for p in head.parameters())
