"""Whatever transforms are chained, boxes keep their label, identity and place."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from mmdet.structures.bbox import HorizontalBoxes
from mmengine.registry import init_default_scope

from fairmot_mm.datasets.transforms.augmentation import warp_boxes
from fairmot_mm.registry import TRANSFORMS

WIDTH, HEIGHT = 96, 64

boxes_of_an_image = st.lists(
    st.tuples(
        st.integers(-30, WIDTH + 10),
        st.integers(-30, HEIGHT + 10),
        st.integers(1, 80),
        st.integers(1, 80),
    ),
    max_size=12,
)
seeds = st.integers(0, 2**32 - 1)
steps = st.sampled_from(
    [
        dict(type="RandomSaturationValue"),
        dict(type="Letterbox", size=(128, 64)),
        dict(type="Letterbox", size=(64, 96)),
        dict(type="RandomBoxAffine"),
        dict(type="RandomBoxAffine", clip=True),
        dict(type="RandomBoxAffine", translate=(0.5, 0.5), scale=(0.2, 2)),
        dict(type="mmdet.RandomFlip", prob=0.5),
        dict(type="Mosaic", img_scale=(64, 48)),
        dict(type="MixUp", img_scale=(80, 64)),
    ]
)
chains = st.lists(steps, max_size=5)


def annotated(boxes, first: int) -> dict:
    """An image whose rows tell who they are, in three ways that must agree."""
    corners = np.array([(x, y, x + w, y + h) for x, y, w, h in boxes], np.float32)
    number = np.arange(first, first + len(boxes))
    return dict(
        img=np.zeros((HEIGHT, WIDTH, 3), np.uint8),
        img_shape=(HEIGHT, WIDTH),
        gt_bboxes=HorizontalBoxes(corners.reshape(-1, 4)),
        gt_bboxes_labels=number % 7,
        gt_instances_ids=np.where(number % 5 == 0, -1, number),
        gt_ignore_flags=number % 3 == 0,
    )


def columns(results: dict) -> list[tuple]:
    return list(
        zip(
            results["gt_bboxes_labels"].tolist(),
            results["gt_instances_ids"].tolist(),
            results["gt_ignore_flags"].tolist(),
            strict=True,
        )
    )


@settings(max_examples=60, deadline=None)
@given(chains, seeds, st.tuples(*[boxes_of_an_image] * 5))
def test_no_box_is_swapped_or_doubled_by_any_chain(chain, seed, images):
    init_default_scope("fairmot_mm")
    np.random.seed(seed)
    starts = [1000 * i for i in range(5)]
    # Labels, identities and flags of everyone who may turn up.
    everyone = {
        row
        for boxes, start in zip(images, starts, strict=True)
        for row in columns(annotated(boxes, start))
    }
    results = annotated(images[0], 0)
    mixed = False
    for step in chain:
        others = {"Mosaic": 3, "MixUp": 1}.get(step["type"], 0)
        if others and mixed:
            continue  # a second mix would bring the same people again
        mixed |= bool(others)
        if others:
            results["mix_results"] = [
                annotated(images[i + 1], starts[i + 1]) for i in range(others)
            ]
        results = TRANSFORMS.build(step)(results)
        results.pop("mix_results", None)
    found = columns(results)
    assert len(results["gt_bboxes"]) == len(found)
    assert set(found) <= everyone
    identities = [identity for _, identity, _ in found if identity >= 0]
    assert len(set(identities)) == len(identities)
    corners = results["gt_bboxes"].numpy()
    assert np.isfinite(corners).all()
    assert (corners[:, :2] <= corners[:, 2:]).all()
    height, width = results["img"].shape[:2]
    assert results["img_shape"] == (height, width)


@settings(max_examples=60, deadline=None)
@given(boxes_of_an_image, seeds)
def test_what_only_moves_boxes_loses_none(boxes, seed):
    init_default_scope("fairmot_mm")
    np.random.seed(seed)
    results = annotated(boxes, 0)
    before = columns(results)
    for step in (
        dict(type="RandomSaturationValue"),
        dict(type="Letterbox", size=(128, 64)),
        dict(type="mmdet.RandomFlip", prob=0.5),
        dict(type="Letterbox", size=(64, 96)),
    ):
        results = TRANSFORMS.build(step)(results)
    assert columns(results) == before
    sides = results["gt_bboxes"].numpy()
    if boxes:
        ratio = (sides[:, 2] - sides[:, 0]) / np.array([w for _, _, w, _ in boxes])
        # Nothing was cut: all boxes have been scaled by the same factor.
        np.testing.assert_allclose(ratio, ratio[0], rtol=1e-3)


@settings(max_examples=80, deadline=None)
@given(
    boxes_of_an_image,
    st.floats(-20, 20),
    st.floats(0.2, 3),
    st.floats(-80, 80),
    st.floats(-80, 80),
    st.booleans(),
)
def test_the_affine_loses_what_its_rule_says_and_nothing_else(
    boxes, degrees, scale, dx, dy, clip
):
    """The rule of the published code, box by box."""
    angle = np.radians(degrees)
    cos, sin = np.cos(angle) * scale, np.sin(angle) * scale
    matrix = np.array([[cos, sin, dx], [-sin, cos, dy], [0, 0, 1]])
    given_boxes = np.array([(x, y, x + w, y + h) for x, y, w, h in boxes], float)
    given_boxes = given_boxes.reshape(-1, 4)
    rows, warped = warp_boxes(given_boxes, matrix, degrees, (WIDTH, HEIGHT), clip)
    expected = []
    for number, (x1, y1, x2, y2) in enumerate(given_boxes):
        corners = np.array([[x1, y1, 1], [x2, y2, 1], [x1, y2, 1], [x2, y1, 1]])
        xy = (corners @ matrix.T)[:, :2]
        shrink = max(abs(np.sin(angle)), abs(np.cos(angle))) ** 0.5
        centre = (xy.min(0) + xy.max(0)) / 2
        half = (xy.max(0) - xy.min(0)) * shrink / 2
        low, high = centre - half, centre + half
        if clip:
            low, high = low.clip(0, (WIDTH, HEIGHT)), high.clip(0, (WIDTH, HEIGHT))
        w, h = high - low
        large = w > 4 and h > 4 and w * h > 0.1 * (x2 - x1) * (y2 - y1)
        visible = low[0] < WIDTH and low[1] < HEIGHT and (high > 0).all()
        if large and visible and max(w / h, h / w) < 10:
            expected.append(number)
    assert rows.tolist() == expected
    assert len(warped) == len(rows)
    if clip:
        assert (warped >= 0).all()
        assert (warped <= (WIDTH, HEIGHT) * 2).all()


@settings(max_examples=40, deadline=None)
@given(seeds, st.tuples(*[boxes_of_an_image] * 4))
def test_mosaic_itself_loses_and_swaps_nobody(seed, images):
    init_default_scope("fairmot_mm")
    np.random.seed(seed)
    results = annotated(images[0], 0)
    results["mix_results"] = [
        annotated(boxes, 1000 * i) for i, boxes in enumerate(images[1:], 1)
    ]
    total = sum(map(len, images))
    everyone = [
        row
        for i, boxes in enumerate(images)
        for row in columns(annotated(boxes, 1000 * i))
    ]
    with pytest.MonkeyPatch.context() as patch:
        # Nothing is outside: all boxes come through, in the order of the images.
        everywhere = torch.ones(total, dtype=torch.bool)
        patch.setattr(HorizontalBoxes, "is_inside", lambda *_, **__: everywhere)
        kept = TRANSFORMS.build(dict(type="Mosaic", img_scale=(64, 48)))(results)
    assert len(kept["gt_bboxes"]) == total
    assert columns(kept) == everyone
