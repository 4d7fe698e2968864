import re
from pathlib import Path

import numpy as np
import torch
from mmdet.structures.bbox import HorizontalBoxes
from mmengine.config import Config

from fairmot_mm.datasets import Mosaic
from fairmot_mm.registry import DATASETS, TRANSFORMS

DOCS = Path(__file__).parents[3] / "docs" / "datasets.md"


def image_of(identity: int, box, size=(64, 48)) -> dict:
    """An image in which the only person wears its identity as its grey."""
    image = np.zeros((size[1], size[0], 3), np.uint8)
    x1, y1, x2, y2 = box
    image[max(y1, 0) : y2, max(x1, 0) : x2] = identity
    return dict(
        img=image,
        img_shape=image.shape[:2],
        gt_bboxes=HorizontalBoxes(np.array([box], np.float32)),
        gt_bboxes_labels=np.array([identity % 3]),
        gt_instances_ids=np.array([identity]),
        gt_ignore_flags=np.array([False]),
    )


def test_mosaic_puts_identities_where_their_pixels_are():
    seen = 0
    for seed in range(10):
        np.random.seed(seed)
        results = image_of(100, (20, 10, 40, 40))
        results["mix_results"] = [
            image_of(i, (20, 10, 40, 40)) for i in (140, 180, 220)
        ]
        results = Mosaic(img_scale=(64, 48))(results)
        assert results["img"].shape == (96, 128, 3)
        for box, label, identity in zip(
            results["gt_bboxes"].numpy(),
            results["gt_bboxes_labels"],
            results["gt_instances_ids"],
            strict=True,
        ):
            assert label == identity % 3
            x, y = ((box[:2] + box[2:]) / 2).astype(int)
            if 0 <= x < 128 and 0 <= y < 96:
                assert results["img"][y, x, 0] == identity
                seen += 1
    assert seen > 20


def test_boxes_may_leave_a_mosaic():
    for seed in range(10):
        np.random.seed(seed)
        results = image_of(1, (-30, 5, 60, 40))
        results["mix_results"] = [image_of(i, (-30, 5, 60, 40)) for i in (2, 3, 4)]
        results = TRANSFORMS.build(dict(type="Mosaic", img_scale=(64, 48)))(results)
        sides = results["gt_bboxes"].numpy()
        np.testing.assert_allclose(sides[:, 2] - sides[:, 0], 90)


def test_mixup_keeps_both_images_people():
    np.random.seed(0)
    results = image_of(100, (20, 10, 40, 40))
    results["mix_results"] = [image_of(201, (20, 10, 40, 40))]
    mix = dict(type="MixUp", img_scale=(64, 48), ratio_range=(1, 1), flip_ratio=1)
    results = TRANSFORMS.build(mix)(results)
    assert results["gt_instances_ids"].tolist() == [100, 201]
    assert results["gt_bboxes_labels"].tolist() == [1, 0]
    assert results["img"][25, 30, 0] == 150


def test_the_documented_mosaic_trains(synthetic, tmp_path):
    """The config in docs/datasets.md, on small images."""
    text = DOCS.read_text().split("## Mosaic and mixup")[1]
    code = re.search(r"```python\n(.*?)```", text, re.DOTALL)[1]
    code = code.replace("data/MOT17/train", str(synthetic)).replace('"SDP"', "None")
    code = code.replace("1088, 608", "96, 64").replace("_delete_=True,", "")
    config = Config.fromstring(code, ".py").train_dataloader.dataset

    def samples() -> list[tuple]:
        np.random.seed(1)
        dataset = DATASETS.build(config)
        assert len(dataset) == 15
        return [
            (packed["inputs"], packed["data_samples"].gt_instances)
            for packed in (dataset[i] for i in range(15))
        ]

    first, second = samples(), samples()
    people = DATASETS.build(config).dataset.num_ids
    for (image, found), (again, same) in zip(first, second, strict=True):
        assert image.shape == (3, 64, 96)
        assert torch.equal(image, again)
        assert torch.equal(found.instances_ids, same.instances_ids)
        assert torch.equal(found.bboxes.tensor, same.bboxes.tensor)
        assert (found.instances_ids < people).all()
    # Mixed images show more people than the four of a sequence.
    assert max(len(found) for _, found in first) > 4
