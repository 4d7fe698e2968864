import numpy as np
import pytest
import torch
from mmengine.dataset import Compose

import fairmot_mm  # noqa: F401
from fairmot_mm.structures.letterbox import image_to_input, input_to_image

# Boxes of an image of 200x100 pixels, in its own pixels.
BOXES = [[0.0, 0.0, 200.0, 100.0], [12.5, 30.0, 50.0, 88.0]]
PAD = dict(type="mmdet.Pad", size=(64, 64))
PIPELINES = {
    "Letterbox": [dict(type="fairmot_mm.Letterbox", size=(64, 64))],
    "Resize": [dict(type="mmdet.Resize", scale=(64, 64), keep_ratio=True)],
    "Resize and Pad": [dict(type="mmdet.Resize", scale=(64, 64), keep_ratio=True), PAD],
    "stretched": [dict(type="mmdet.Resize", scale=(64, 64), keep_ratio=False)],
}


def metas_and_boxes(
    pipeline: list[dict], image_hw: tuple[int, int] = (100, 200)
) -> tuple[dict, torch.Tensor]:
    """What a pipeline packs of an image, and where it moves the boxes."""
    results = dict(
        img=np.zeros((*image_hw, 3), np.uint8),
        img_id=0,
        img_shape=image_hw,
        ori_shape=image_hw,
        gt_bboxes=np.array(BOXES, np.float32),
        gt_bboxes_labels=np.zeros(2, int),
        gt_instances_ids=np.zeros(2, int),
    )
    pack = dict(type="fairmot_mm.PackTrackTrainInputs")
    sample = Compose([*pipeline, pack])(results)["data_samples"]
    boxes = sample.gt_instances.bboxes
    return sample.metainfo, getattr(boxes, "tensor", boxes)


@pytest.mark.parametrize("name", PIPELINES)
def test_boxes_come_back_from_the_network_input(name):
    metas, boxes = metas_and_boxes(PIPELINES[name])
    back = input_to_image(boxes, metas, (64, 64))
    torch.testing.assert_close(back, torch.tensor(BOXES), rtol=0, atol=1e-4)
    again = image_to_input(back, metas, (64, 64))
    torch.testing.assert_close(again, boxes, rtol=0, atol=1e-4)


@pytest.mark.parametrize("image_hw", [(1080, 1920), (97, 201), (480, 640)])
def test_what_a_letterbox_records_is_what_bare_metas_stand_for(image_hw):
    # To the last digit: published results are decoded from bare metas.
    metas, boxes = metas_and_boxes(
        [dict(type="fairmot_mm.Letterbox", size=(272, 152))], image_hw
    )
    bare = input_to_image(boxes, dict(ori_shape=image_hw), (152, 272))
    assert torch.equal(input_to_image(boxes, metas, (152, 272)), bare)
    # Nor does it matter to what the batch was padded on the right and at the bottom.
    assert torch.equal(input_to_image(boxes, metas, (160, 288)), bare)


def test_a_letterbox_without_metas_is_undone():
    # 200x100 in 64x64: a border of 16 above and below, factor 0.32.
    boxes = torch.tensor([[0.0, 16.0, 64.0, 48.0]])
    image = input_to_image(boxes, dict(ori_shape=(100, 200)), (64, 64))
    assert torch.allclose(image, torch.tensor([[0.0, 0.0, 200.0, 100.0]]))


def test_a_lost_record_is_named():
    metas, boxes = metas_and_boxes(
        [dict(type="fairmot_mm.Letterbox", size=(272, 152))], (97, 201)
    )
    del metas["pad_param"]
    with pytest.raises(ValueError, match="add 'pad_param' to meta_keys"):
        input_to_image(boxes, metas, (152, 272))


def test_missing_image_size_is_named():
    with pytest.raises(KeyError, match="ori_shape"):
        input_to_image(torch.zeros(1, 4), {}, (64, 64))
