"""Two classes: a heatmap and an identity classifier each, and their own tracks."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmengine.dataset import pseudo_collate
from torch.optim import Adam
from torchvision.ops import box_iou

from fairmot_mm.datasets import MOTFrameDataset
from fairmot_mm.models import EmbeddingHead
from fairmot_mm.registry import MODELS

CLASSES = ("pedestrian", "car")
FRAMES, WIDTH, HEIGHT = 12, 128, 96
# Class, colour (BGR), size, start and step of each object. They pass one another.
OBJECTS = (
    (1, (40, 40, 220), (14, 30), (10, 22), (4, 0)),
    (1, (40, 160, 240), (14, 30), (100, 42), (-4, 0)),
    (3, (220, 60, 40), (34, 16), (8, 76), (5, 0)),
    (3, (200, 200, 40), (34, 16), (80, 3), (-4, 0)),
)


@pytest.fixture(scope="module")
def sequence(tmp_path_factory) -> Path:
    """Upright boxes (class 1) and lying ones (class 3) that move over noise."""
    root = tmp_path_factory.mktemp("two_classes") / "SEQ"
    (root / "img1").mkdir(parents=True)
    (root / "gt").mkdir()
    rng = np.random.default_rng(0)
    background = rng.integers(90, 150, (HEIGHT, WIDTH, 3), np.uint8)
    lines = []
    for frame in range(1, FRAMES + 1):
        image = background.copy()
        for i, (category, colour, (w, h), start, step) in enumerate(OBJECTS, 1):
            x, y = (a + (frame - 1) * b for a, b in zip(start, step, strict=True))
            cv2.rectangle(image, (x, y), (x + w - 1, y + h - 1), colour, -1)
            lines.append(f"{frame},{i},{x},{y},{w},{h},1,{category},1\n")
        cv2.imwrite(str(root / f"img1/{frame:06d}.png"), image)
    (root / "gt/gt.txt").write_text("".join(lines))
    (root / "seqinfo.ini").write_text(
        f"[Sequence]\nname=SEQ\nimDir=img1\nframeRate=30\nseqLength={FRAMES}\n"
        f"imWidth={WIDTH}\nimHeight={HEIGHT}\nimExt=.png\n"
    )
    return root


@pytest.fixture(scope="module")
def dataset(sequence) -> MOTFrameDataset:
    return MOTFrameDataset(
        str(sequence),
        per_class_ids=True,
        metainfo=dict(classes=CLASSES),
        pipeline=[
            dict(type="fairmot_mm.CheckedLoadImageFromFile"),
            dict(type="fairmot_mm.Letterbox", size=(WIDTH, HEIGHT)),
            dict(type="fairmot_mm.PackTrackTrainInputs"),
        ],
    )


def small_model(num_ids: list[int]) -> torch.nn.Module:
    return MODELS.build(
        dict(
            type="FairMOT",
            data_preprocessor=dict(
                type="mmdet.TrackDataPreprocessor",
                mean=[0.0, 0.0, 0.0],
                std=[255.0, 255.0, 255.0],
                use_det_processor=True,
            ),
            backbone=dict(
                type="mmdet.ResNet",
                depth=18,
                stem_channels=16,
                base_channels=16,
                num_stages=2,
                strides=(1, 2),
                dilations=(1, 1),
                out_indices=(0, 1),
                norm_eval=False,
                zero_init_residual=False,
            ),
            neck=dict(type="ConcatNeck", in_channels=(16, 32)),
            bbox_head=dict(
                type="FairMOTHead", in_channels=48, num_classes=2, feat_channels=32
            ),
            reid_head=dict(
                type="EmbeddingHead",
                in_channels=48,
                feat_channels=32,
                embed_dims=16,
                num_ids=num_ids,
            ),
            task_weighting=dict(type="FixedWeighting"),
            tracker=dict(type="JDETracker", obj_score_thr=0.3),
        )
    )


def test_two_classes_are_learned_and_tracked(dataset):
    torch.manual_seed(0)
    assert dataset.num_ids_per_class == [2, 2]
    model = small_model(dataset.num_ids_per_class).train()
    samples = [dataset[i] for i in range(FRAMES)]
    batches = [
        model.data_preprocessor(pseudo_collate(samples[i::3]), True) for i in range(3)
    ]
    optimizer = Adam(model.parameters(), lr=2e-3)
    for step in range(90):
        losses = model(**batches[step % 3], mode="loss")
        optimizer.zero_grad()
        losses["loss"].backward()
        optimizer.step()

    model.eval()
    names = {}  # track of each object, by class and identity
    for i, sample in enumerate(samples):
        data = model.data_preprocessor(pseudo_collate([sample]), True)
        truth = sample["data_samples"].gt_instances
        found = model.predict_frame(data["inputs"], dict(ori_shape=(HEIGHT, WIDTH)))
        tracks = model.tracker.update(
            found.bboxes, found.scores, found.embeddings, found.labels
        )
        overlap = box_iou(truth.bboxes.tensor, tracks.bboxes)
        overlap[truth.labels[:, None] != tracks.labels] = 0
        assert (overlap.amax(1) > 0.5).all(), f"frame {i}"
        assert len(tracks) == len(truth)
        for j, best in enumerate(overlap.argmax(1)):
            key = int(truth.labels[j]), int(truth.instances_ids[j])
            names.setdefault(key, set()).add(int(tracks.instances_id[best]))
    # One number per object, and none twice, over the classes too.
    assert all(len(numbers) == 1 for numbers in names.values())
    assert len(set.union(*names.values())) == len(OBJECTS)


def test_each_class_has_its_own_heatmap(dataset):
    model = small_model([2, 2])
    sample = dataset[0]["data_samples"].gt_instances
    sample.bboxes = sample.bboxes.tensor
    targets = model.bbox_head.get_targets([sample], (24, 32), (96, 128))
    assert targets.heatmap.shape == (1, 2, 24, 32)
    assert targets.heatmap.eq(1).sum((2, 3)).tolist() == [[2, 2]]


def test_more_classes_than_heatmaps_are_named(dataset):
    model = small_model([2, 2])
    model.bbox_head.num_classes = 1
    with pytest.raises(ValueError, match=r"label 1 .*num_classes is 1"):
        model(
            **model.data_preprocessor(pseudo_collate([dataset[0]]), True), mode="loss"
        )


def test_each_class_has_its_own_classifier():
    torch.manual_seed(0)
    head = EmbeddingHead(8, embed_dims=4, num_ids=[3, 0, 5])
    embeddings = torch.nn.functional.normalize(torch.randn(4, 4), dim=1)
    ids, labels = torch.tensor([2, 4, -1, 0]), torch.tensor([0, 2, 1, 2])
    loss = head.loss(embeddings, ids, labels)["loss_id"]
    expected = 0.0
    for num_ids, classifier, rows in (
        (3, head.classifier[0], [0]),
        (5, head.classifier[2], [1, 3]),
    ):
        alone = EmbeddingHead(8, embed_dims=4, num_ids=num_ids)
        alone.classifier = classifier
        expected += len(rows) * alone.loss(embeddings[rows], ids[rows])["loss_id"]
    assert loss.item() == pytest.approx(expected.item() / 3, rel=1e-6)
    loss.backward()
    assert head.classifier[0].weight.grad.abs().sum() > 0
    # Absent classes have a gradient, too: distributed training asks for it.
    head.zero_grad()
    head.loss(embeddings[:1], ids[:1], labels[:1])["loss_id"].backward()
    assert head.classifier[2].weight.grad.abs().sum() == 0


@pytest.mark.parametrize(
    ("ids", "labels", "message"),
    [
        ([3], [0], "identity 3 of class 0.*outside 0..2"),
        ([0], [2], "label 2, but .* for 2 classes"),
        ([0], None, "needs their labels"),
    ],
)
def test_wrong_classes_and_identities_are_named(ids, labels, message):
    head = EmbeddingHead(8, embed_dims=4, num_ids=[3, 5])
    labels = None if labels is None else torch.tensor(labels)
    with pytest.raises(ValueError, match=message):
        head.loss(torch.ones(1, 4) / 2, torch.tensor(ids), labels)


@pytest.mark.parametrize("num_ids", [[], [3, -1], [2.5], 0, "many"])
def test_wrong_numbers_of_identities_are_named(num_ids):
    with pytest.raises(ValueError, match="one number per class"):
        EmbeddingHead(8, num_ids=num_ids)
