import cv2
import numpy as np
import pytest
import torch
from mmdet.structures import DetDataSample
from mmdet.structures.bbox import HorizontalBoxes
from mmengine.registry import TRANSFORMS as ROOT_TRANSFORMS
from numpy.testing import assert_allclose, assert_array_equal

from fairmot_mm.datasets import (
    Letterbox,
    PackTrackTrainInputs,
    RandomBoxAffine,
    RandomSaturationValue,
)
from fairmot_mm.datasets.transforms.augmentation import warp_boxes
from fairmot_mm.registry import TRANSFORMS
from fairmot_mm.structures.letterbox import letterbox

BACKGROUND, RECTANGLE = 0, 255  # the border, 127.5, lies between


def annotated(image: np.ndarray, boxes, ids) -> dict:
    boxes = np.asarray(boxes, np.float32).reshape(-1, 4)
    return dict(
        img=image.copy(),
        img_shape=image.shape[:2],
        gt_bboxes=HorizontalBoxes(boxes),
        gt_bboxes_labels=np.arange(len(boxes)) % 3,
        gt_instances_ids=np.asarray(ids, np.int64).reshape(-1),
    )


def draw(size: tuple[int, int], boxes, values) -> np.ndarray:
    """Filled rectangles on black; ``size`` is (width, height)."""
    image = np.full((size[1], size[0], 3), BACKGROUND, np.uint8)
    for (x1, y1, x2, y2), value in zip(boxes, values, strict=True):
        image[y1:y2, x1:x2] = value
    return image


def bright_hull(image: np.ndarray) -> np.ndarray:
    """Box around what is brighter than half way from the border to white."""
    rows, columns = np.nonzero(image[..., 0] > 191)
    return np.array([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1])


@pytest.mark.parametrize("case", range(3))
def test_letterbox_golden(golden, case):
    numbers = golden("letterbox.npz")
    image, factor, border = letterbox(numbers[f"image{case}"], (272, 152))
    assert (factor, *border) == pytest.approx(tuple(numbers[f"ratio_pad{case}"]))
    published = numbers[f"input{case}"].transpose(1, 2, 0)[..., ::-1]
    assert image.dtype == np.uint8
    assert_allclose(image / 255, published, atol=1e-6)


@pytest.mark.parametrize("case", range(3))
def test_letterbox_moves_boxes_as_published(golden, case):
    numbers = golden("letterbox.npz")
    factor, left, top = numbers[f"ratio_pad{case}"]
    boxes = np.array([[0, 0, 40, 30], [12.5, 7.25, 90, 80], [-20, 50, 500, 400]])
    results = Letterbox(size=(272, 152))(
        annotated(numbers[f"image{case}"], boxes, [4, 5, 6])
    )
    expected = boxes * factor + [left, top, left, top]
    assert_allclose(results["gt_bboxes"].numpy(), expected, atol=1e-3)
    assert results["gt_instances_ids"].tolist() == [4, 5, 6]
    assert results["img_shape"] == results["img"].shape[:2] == (152, 272)
    assert results["scale_factor"] == pytest.approx((factor, factor))


@pytest.mark.parametrize("size", [(300, 200), (200, 300), (97, 201), (50, 20)])
def test_letterbox_moves_image_and_boxes_together(size):
    width, height = size
    box = [width // 5, height // 4, width * 4 // 5, height * 3 // 4]
    image = draw(size, [box], [RECTANGLE])
    results = Letterbox(size=(160, 96))(annotated(image, [box], [1]))
    hull = bright_hull(results["img"])
    assert_allclose(results["gt_bboxes"].numpy()[0], hull, atol=1.5)


def test_letterbox_puts_the_greater_half_of_an_odd_border_last():
    image = np.full((10, 10, 3), 255, np.uint8)
    wide, _, border = letterbox(image, (21, 10))
    assert np.flatnonzero(wide[0, :, 0] == 255).tolist() == list(range(5, 15))
    assert border == (5.5, 0)
    high, _, border = letterbox(image, (10, 13))
    assert np.flatnonzero(high[:, 0, 0] == 255).tolist() == list(range(1, 11))
    assert border == (0, 1.5)


def test_letterbox_without_boxes():
    results = Letterbox(size=(64, 32))(dict(img=np.zeros((64, 64, 3), np.uint8)))
    assert results["img"].shape == (32, 64, 3)
    assert "gt_bboxes" not in results


@pytest.mark.parametrize("size", [(64,), (64, 0), (64, 32, 3)])
def test_letterbox_refuses_an_impossible_size(size):
    with pytest.raises(ValueError, match="size="):
        Letterbox(size=size)


@pytest.mark.parametrize("case", range(4))
def test_warp_boxes_golden(golden, case):
    numbers = golden("affine.npz")
    rows, boxes = warp_boxes(
        numbers[f"boxes{case}"],
        numbers[f"matrix{case}"],
        float(numbers[f"degrees{case}"]),
        (1088, 608),
    )
    assert_array_equal(rows, numbers[f"kept{case}"])
    assert_allclose(boxes, numbers[f"out{case}"], atol=1e-3)


def test_warp_boxes_drops_what_is_lost():
    shift = np.array([[1, 0, 100], [0, 1, 0], [0, 0, 1.0]])
    boxes = np.array(
        [
            [10, 10, 30, 50],
            [-130, 10, -90, 50],  # reaches back into the image
            [-130, 10, -100, 50],  # ends on the edge
            [100, 10, 130, 50],  # starts on the edge
            [99, 10, 130, 50],
            [10, 10, 14, 30],  # a side of 4
            [10, 10, 14.5, 30],
            [10, 10, 15, 60],  # ten times as high as wide
            [10, 10, 15, 59],
            [10, 110, 30, 150],
        ]
    )
    rows, warped = warp_boxes(boxes, shift, 0.0, (200, 100))
    assert rows.tolist() == [0, 1, 4, 6, 8]
    assert_allclose(warped, boxes[rows] + [100, 0, 100, 0])


@pytest.mark.parametrize("scale", [0.3, 0.32])
def test_warp_boxes_drops_what_shrinks_below_a_tenth(scale):
    rows, _ = warp_boxes(
        np.array([[10.0, 10, 90, 90]]), np.diag([scale, scale, 1]), 0.0, (100, 100)
    )
    assert len(rows) == (scale**2 > 0.1)


def test_warp_boxes_of_no_box():
    rows, boxes = warp_boxes(np.empty((0, 4), np.float32), np.eye(3), 0.0, (10, 10))
    assert rows.shape == (0,)
    assert boxes.shape == (0, 4)


def test_saturation_and_value_by_the_formula():
    image = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    for seed in range(10):
        np.random.seed(seed)
        factors = np.random.uniform(-1, 1, 2) * 0.5 + 1
        hsv = cv2.cvtColor(image, cv2.COLOR_BGR2HSV)
        for channel, factor in enumerate(factors, 1):
            scaled = hsv[..., channel].astype(np.float32)
            scaled *= float(factor)
            # A conversion to uint8 rounds down.
            hsv[..., channel] = np.clip(scaled, 0, 255).astype(np.uint8)
        np.random.seed(seed)
        results = RandomSaturationValue(fraction=0.5)(dict(img=image.copy()))
        assert_array_equal(results["img"], cv2.cvtColor(hsv, cv2.COLOR_HSV2BGR))


def test_value_is_multiplied_rounded_down_and_clipped():
    """Greys have no saturation: one factor explains all 256 of them."""
    greys = np.arange(256, dtype=np.uint8)
    image = np.repeat(greys[None, :, None], 3, axis=2)
    np.random.seed(0)
    clipped, found = 0, []
    for _ in range(50):
        out = RandomSaturationValue(fraction=0.4)(dict(img=image.copy()))["img"]
        assert (out == out[..., :1]).all()
        out = out[0, :, 0].astype(float)
        inside = (greys > 0) & (out < 255)
        lowest = (out[1:] / greys[1:]).max()
        highest = ((out[inside] + 1) / greys[inside]).min()
        assert lowest < highest
        assert lowest >= 0.6 - 1 / 255
        assert highest <= 1.4 + 1 / 100
        clipped += (out == 255).sum() > 1
        found.append(lowest)
    assert clipped > 10
    assert min(found) < 0.7
    assert max(found) > 1.3


def test_hue_is_left_alone():
    rng = np.random.default_rng(0)
    hsv = np.stack(
        (rng.integers(0, 180, (32, 32)), *rng.integers(120, 200, (2, 32, 32))), axis=2
    ).astype(np.uint8)
    image = cv2.cvtColor(hsv, cv2.COLOR_HSV2BGR)
    np.random.seed(0)
    changed = 0
    for _ in range(20):
        out = RandomSaturationValue(fraction=0.3)(dict(img=image.copy()))["img"]
        moved = cv2.cvtColor(out, cv2.COLOR_BGR2HSV).astype(int) - hsv
        # Around the circle, and give or take what bytes of BGR can express.
        assert (abs((moved[..., 0] + 90) % 180 - 90) <= 2).all()
        changed += (abs(moved[..., 1:]) > 10).any()
    assert changed > 15


def test_no_jitter_at_fraction_zero():
    hsv = np.full((4, 4, 3), (60, 255, 255), np.uint8)
    image = cv2.cvtColor(hsv, cv2.COLOR_HSV2BGR)
    results = RandomSaturationValue(fraction=0)(dict(img=image.copy()))
    assert_array_equal(results["img"], image)


@pytest.mark.parametrize("fraction", [-0.1, 1.5])
def test_impossible_fraction(fraction):
    with pytest.raises(ValueError, match=f"fraction={fraction}"):
        RandomSaturationValue(fraction=fraction)


@pytest.mark.parametrize(
    ("options", "tolerance"),
    [
        (dict(degrees=(0, 0), shear=(0, 0)), 1.5),
        # The hull of a turned box is drawn in a little: cos(5 degrees) ** 0.5.
        (dict(shear=(0, 0)), 2.0),
        ({}, 2.0),
    ],
    ids=["upright", "turned", "all"],
)
def test_affine_moves_image_and_boxes_together(options, tolerance):
    box = [150, 100, 250, 190]
    image = draw((400, 300), [box], [RECTANGLE])
    transform = RandomBoxAffine(**options)
    np.random.seed(0)
    hulls = []
    for _ in range(30):
        results = transform(annotated(image, [box], [7]))
        assert results["img"].shape == image.shape
        hulls.append(bright_hull(results["img"]))
        assert_allclose(results["gt_bboxes"].numpy(), hulls[-1][None], atol=tolerance)
        assert results["gt_instances_ids"].tolist() == [7]
    assert np.ptp(hulls, axis=0).min() > 40


def test_identities_and_labels_follow_their_boxes():
    """Each rectangle wears its identity as its grey; labels are identity % 3."""
    rng = np.random.default_rng(0)
    transform = RandomBoxAffine(translate=(0.4, 0.4))
    lost = checked = 0
    for seed in range(60):
        # Rows of cells, one rectangle each, so that none covers another.
        corners = [(x, y) for x in range(0, 400, 50) for y in range(0, 300, 60)]
        rng.shuffle(corners)
        boxes = [
            (x, y, x + rng.integers(14, 45), y + rng.integers(14, 55))
            for x, y in corners[: rng.integers(1, 20)]
        ]
        ids = 140 + rng.permutation(100)[: len(boxes)]
        labelled = annotated(draw((400, 300), boxes, ids), boxes, ids)
        labelled["gt_bboxes_labels"] = ids % 3
        labelled["gt_ignore_flags"] = ids % 2 == 0
        np.random.seed(seed)
        results = transform(labelled)
        kept = results["gt_instances_ids"]
        assert_array_equal(results["gt_bboxes_labels"], kept % 3)
        assert_array_equal(results["gt_ignore_flags"], kept % 2 == 0)
        assert len(results["gt_bboxes"]) == len(kept) == len(set(kept.tolist()))
        lost += len(boxes) - len(kept)
        for (x1, y1, x2, y2), identity in zip(
            results["gt_bboxes"].numpy(), kept, strict=True
        ):
            x, y = int((x1 + x2) / 2), int((y1 + y2) / 2)
            if 0 <= x < 400 and 0 <= y < 300:
                assert results["img"][y, x, 0] == identity
                checked += 1
    assert lost > 20
    assert checked > 200


def test_affine_is_reproducible():
    box = [150, 100, 250, 190]
    image = draw((400, 300), [box], [RECTANGLE])

    def run(seed: int) -> dict:
        np.random.seed(seed)
        return RandomBoxAffine()(annotated(image, [box], [7]))

    first, again, other = run(1), run(1), run(2)
    assert_array_equal(first["img"], again["img"])
    assert_array_equal(first["gt_bboxes"].numpy(), again["gt_bboxes"].numpy())
    assert not np.array_equal(first["img"], other["img"])
    assert not np.array_equal(first["gt_bboxes"].numpy(), other["gt_bboxes"].numpy())


@pytest.mark.parametrize(("scale", "shear"), [(1, 0), (0.5, 0), (1, 10)])
def test_affine_shift_is_by_share_of_the_other_side(scale, shear):
    """As published: to the right by a share of the height, down by one of the width.

    Scaled about the middle before it, sheared about the upper left corner after it.
    """
    box, middle = [190, 90, 210, 110], np.array([200, 100])
    image = draw((400, 200), [box], [RECTANGLE])
    transform = RandomBoxAffine(
        degrees=(0, 0),
        translate=(0.2, 0.05),
        scale=(scale, scale),
        shear=(shear, shear),
    )
    tangent = np.tan(np.radians(shear))
    unsheared = np.linalg.inv([[1, tangent], [tangent, 1]])
    np.random.seed(0)
    moves = []
    for _ in range(200):
        results = transform(annotated(image, [box], [1]))
        (found,) = results["gt_bboxes"].centers.numpy()
        moves.append(unsheared @ found - middle)
    right, down = np.abs(moves).max(axis=0)
    assert 38 < right < 40.01
    assert 19 < down < 20.01


def test_affine_pads_with_grey():
    transform = RandomBoxAffine(
        degrees=(0, 0), translate=(0, 0), scale=(0.5, 0.5), shear=(0, 0)
    )
    out = transform(dict(img=np.full((100, 200, 3), 255, np.uint8)))["img"]
    assert set(np.unique(out[:24])) <= {127, 128}
    assert (out[30:70, 60:140] == 255).all()


def test_affine_may_lose_every_box():
    box = [0, 0, 20, 20]
    # Scaling about the middle by 3 throws the corner out of the image.
    transform = RandomBoxAffine(
        degrees=(0, 0), translate=(0, 0), scale=(3, 3), shear=(0, 0)
    )
    results = transform(annotated(draw((200, 200), [box], [255]), [box], [7]))
    assert results["gt_bboxes"].tensor.shape == (0, 4)
    assert results["gt_bboxes_labels"].shape == (0,)
    assert results["gt_instances_ids"].shape == (0,)


def test_flip_of_the_toolbox_keeps_identities():
    boxes = [[10, 20, 30, 60], [50, 5, 75, 45]]
    image = draw((100, 80), boxes, [180, 240])
    flip = TRANSFORMS.build(dict(type="mmdet.RandomFlip", prob=1.0))
    results = flip(annotated(image, boxes, [180, 240]))
    assert_allclose(results["gt_bboxes"].numpy(), [[70, 20, 90, 60], [25, 5, 50, 45]])
    assert results["gt_instances_ids"].tolist() == [180, 240]
    assert results["gt_bboxes_labels"].tolist() == [0, 1]
    assert results["img"][40, 80, 0] == 180
    assert results["img"][25, 37, 0] == 240


def test_packed_with_identities():
    boxes = [[10, 20, 30, 60], [-5, 5, 75, 45.5]]
    image = np.random.default_rng(0).integers(0, 256, (80, 100, 3), np.uint8)
    results = annotated(image, boxes, [41, 7])
    results["img_path"] = "somewhere/000001.jpg"
    packed = PackTrackTrainInputs()(results)
    assert_array_equal(packed["inputs"].permute(1, 2, 0).numpy(), image)
    sample = packed["data_samples"]
    assert isinstance(sample, DetDataSample)
    assert sample.img_path == "somewhere/000001.jpg"
    found = sample.gt_instances
    assert found.instances_ids.dtype == torch.int64
    assert found.instances_ids.tolist() == [41, 7]
    assert found.labels.tolist() == [0, 1]
    assert found.bboxes.tensor.tolist() == boxes


def test_transforms_are_reachable_from_other_scopes():
    for name in (
        "CheckedLoadImageFromFile",
        "Letterbox",
        "PackTrackTrainInputs",
        "RandomBoxAffine",
        "RandomSaturationValue",
    ):
        found = ROOT_TRANSFORMS.get(f"fairmot_mm.{name}")
        assert found is not None
        assert found is TRANSFORMS.get(name)
