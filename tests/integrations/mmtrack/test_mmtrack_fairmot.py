"""The model in MMTracking's conventions beside the model in MMDetection's."""

import numpy as np
import pytest
import torch
from mmdet.structures import DetDataSample
from mmdet.structures.bbox import HorizontalBoxes
from mmengine.registry import DefaultScope
from mmengine.structures import InstanceData
from mmtrack.datasets.transforms import LoadTrackAnnotations, PackTrackInputs
from mmtrack.models.mot import BaseMultiObjectTracker
from mmtrack.structures import TrackDataSample
from networks import SHORT_DLA

from fairmot_mm.datasets import Letterbox, RandomBoxAffine
from fairmot_mm.integrations.mmtrack import LoadFrameRate, MMTrackFairMOT
from fairmot_mm.registry import MODELS

PREPROCESSOR = dict(
    type="mmtrack.TrackDataPreprocessor",
    bgr_to_rgb=True,
    mean=[0.0, 0.0, 0.0],
    std=[255.0, 255.0, 255.0],
)
BOXES = torch.tensor([[8.0, 8, 30, 60], [50, 10, 70, 50]])


def build(cfg, **changes):
    torch.manual_seed(0)
    short = dict(
        **SHORT_DLA,
        reid_head=dict(type="fairmot_mm.EmbeddingHead", in_channels=64, num_ids=9),
        bbox_head=dict(type="fairmot_mm.FairMOTHead", in_channels=64),
    )
    return MODELS.build(cfg | short | changes)


@pytest.fixture
def model(model_cfg):
    with DefaultScope.overwrite_default_scope("mmtrack"):
        return build(
            model_cfg,
            type="fairmot_mm.MMTrackFairMOT",
            data_preprocessor=PREPROCESSOR,
            tracker=dict(type="fairmot_mm.JDETracker", obj_score_thr=0.05),
        )


def raw_image(seed):
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (3, 64, 96), generator=generator, dtype=torch.uint8)


def packed(frame=0, identities=True):
    """What MMTracking's ``PackTrackInputs`` makes."""
    sample = TrackDataSample(
        metainfo=dict(
            frame_id=frame, ori_shape=(64, 96), img_shape=(64, 96), img_path="a.jpg"
        )
    )
    instances = InstanceData(bboxes=BOXES, labels=torch.zeros(2).long())
    if identities:
        instances.instances_id = torch.tensor([0, 8], dtype=torch.int32)
    sample.gt_instances = instances
    return dict(inputs=dict(img=raw_image(frame)[None]), data_samples=sample)


def batch(*items):
    return dict(
        inputs=dict(img=[item["inputs"]["img"] for item in items]),
        data_samples=[item["data_samples"] for item in items],
    )


def test_is_both_a_fairmot_and_a_model_of_mmtracking(model):
    assert isinstance(model, MMTrackFairMOT)
    assert isinstance(model, BaseMultiObjectTracker)
    assert model.with_tracker
    assert not model.with_motion


def test_same_weights_same_loss_and_gradients(model, model_cfg):
    other = build(model_cfg)
    other.load_state_dict(model.state_dict(), strict=True)
    data = model.data_preprocessor(batch(packed(0), packed(1)), training=True)
    losses = model(**data, mode="loss")

    frames = [raw_image(0), raw_image(1)]
    targets = InstanceData(
        bboxes=BOXES,
        labels=torch.zeros(2).long(),
        instances_ids=torch.tensor([0, 8]),
    )
    samples = [DetDataSample(gt_instances=targets) for _ in frames]
    expected = other(torch.stack(frames)[:, [2, 1, 0]] / 255, samples, mode="loss")
    assert losses.keys() == expected.keys()
    for key, value in expected.items():
        assert torch.equal(losses[key], value), key
    losses["loss"].backward()
    expected["loss"].backward()
    for (name, ours), theirs in zip(
        model.named_parameters(), other.parameters(), strict=True
    ):
        assert torch.equal(ours.grad, theirs.grad), name


def test_a_batch_of_frames_is_tracked_like_one_after_the_other(model):
    model.eval()
    with torch.no_grad():
        together = model.test_step(batch(*(packed(i) for i in range(4))))
        singly = [model.test_step(batch(packed(i)))[0] for i in range(4)]
    assert len(together) == 4
    for ours, theirs in zip(together, singly, strict=True):
        assert isinstance(ours, TrackDataSample)
        for key, value in theirs.pred_track_instances.items():
            assert torch.equal(ours.pred_track_instances[key], value), key
        assert len(ours.pred_det_instances) > 0
    assert len(together[0].pred_track_instances) > 0


def test_raw_maps(model):
    image = torch.rand(2, 1, 3, 64, 96)
    maps = model.eval()(dict(img=image), mode="tensor")
    bare = model(image[:, 0], mode="tensor")
    assert maps["size"].shape == (2, 4, 16, 24)
    assert all(torch.equal(maps[key], bare[key]) for key in maps)


@pytest.mark.parametrize(
    "inputs",
    [
        dict(img=torch.rand(1, 2, 3, 64, 96)),
        dict(img=torch.rand(1, 3, 64, 96)),
        dict(img=torch.rand(1, 1, 3, 64, 96), ref_img=torch.rand(1, 1, 3, 64, 96)),
        dict(ref_img=torch.rand(1, 1, 3, 64, 96)),
    ],
    ids=["two key frames", "no time", "reference frames", "no key frame"],
)
def test_other_inputs_are_refused(model, inputs):
    with pytest.raises(ValueError, match="ref_img_sampler=None"):
        model(inputs, [packed()["data_samples"]], mode="predict")


def test_annotations_without_identities_are_refused(model):
    samples = [packed(identities=False)["data_samples"]]
    with pytest.raises(KeyError, match=r"a\.jpg.*with_instance_id=True"):
        model(dict(img=torch.rand(1, 1, 3, 64, 96)), samples, mode="loss")


class TestPipeline:
    """Our transforms on annotations as MMTracking loads them."""

    @pytest.fixture
    def loaded(self):
        boxes = [[5, 6, 40, 60], [100, 20, 120, 90], [600, 20, 640, 90]]
        instances = [
            dict(bbox=box, bbox_label=0, instance_id=7 + i, ignore_flag=0)
            for i, box in enumerate(boxes)
        ]
        image = np.full((100, 640, 3), 50, np.uint8)
        results = dict(img=image, img_shape=(100, 640), instances=instances)
        return LoadTrackAnnotations(with_instance_id=True)(results)

    def test_boxes_move_as_those_of_mmdetection_do(self, loaded):
        expected = loaded | dict(gt_bboxes=HorizontalBoxes(loaded["gt_bboxes"].copy()))
        expected = Letterbox((320, 192))(expected)["gt_bboxes"].numpy()
        ours = Letterbox((320, 192))(loaded)["gt_bboxes"]
        assert isinstance(ours, np.ndarray)
        np.testing.assert_array_equal(ours, expected)
        np.testing.assert_array_equal(ours[0], [2.5, 74, 20, 101])

    def test_identities_are_dropped_with_their_boxes(self, loaded):
        zoom = RandomBoxAffine((0, 0), (0, 0), scale=(2, 2), shear=(0, 0))
        results = zoom(loaded)
        # Twice as large about the middle, only x from 160 to 480 stays: none.
        assert results["gt_bboxes"].shape == (0, 4)
        assert results["gt_instances_id"].shape == (0,)
        assert results["gt_ignore_flags"].shape == (0,)
        sample = PackTrackInputs(pack_single_img=True)(results)["data_samples"]
        assert len(sample.gt_instances) == 0

    def test_identities_stay_with_their_boxes(self, loaded):
        zoom = RandomBoxAffine((0, 0), (0, 0), scale=(1.5, 1.5), shear=(0, 0))
        results = zoom(loaded)
        # x from 107 to 533 stays.
        assert results["gt_instances_id"].tolist() == [8]
        assert isinstance(results["gt_bboxes"], np.ndarray)
        np.testing.assert_allclose(results["gt_bboxes"], [[-10, 5, 20, 110]])


class TestFrameRate:
    def test_is_read_from_beside_the_images(self, synthetic):
        path = str(synthetic / "SYN-00/img1/000001.jpg")
        assert LoadFrameRate()(dict(img_path=path))["frame_rate"] == 15

    def test_says_what_is_missing(self, tmp_path):
        path = str(tmp_path / "SEQ/img1/000001.jpg")
        with pytest.raises(FileNotFoundError, match=r"SEQ.*seqinfo\.ini"):
            LoadFrameRate()(dict(img_path=path))

    def test_reaches_the_tracker(self, model):
        item = packed()
        item["data_samples"].set_metainfo(dict(frame_rate=15))
        with torch.no_grad():
            model.eval().test_step(batch(item))
        assert model.tracker.max_frames_lost == 15
