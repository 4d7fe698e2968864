"""Our parts with the toolbox's own, and the other way round."""

import pytest
import torch
from mmdet.structures import DetDataSample, TrackDataSample
from mmengine.config import ConfigDict
from mmengine.registry import DefaultScope, init_default_scope
from mmengine.structures import InstanceData
from networks import RESNET18

from fairmot_mm.models import JDETracker
from fairmot_mm.registry import MODELS

PREPROCESSOR = dict(type="mmdet.TrackDataPreprocessor", use_det_processor=True)
BYTE_TRACKER = dict(
    type="mmdet.ByteTracker",
    motion=dict(type="mmdet.KalmanFilter"),
    obj_score_thrs=dict(high=0.02, low=0.01),
    init_track_thr=0.03,
    match_iou_thrs=dict(high=0.1, low=0.5, tentative=0.3),
)


def sample(ids: bool = True) -> DetDataSample:
    metas = dict(
        ori_shape=(64, 96),
        img_shape=(64, 96),
        batch_input_shape=(64, 96),
        scale_factor=(1.0, 1.0),
        border=(0, 64, 0, 96),
        frame_id=0,
    )
    item = DetDataSample(metainfo=metas)
    item.gt_instances = InstanceData(
        bboxes=torch.tensor([[8.0, 8, 30, 60], [50, 10, 70, 50]]),
        labels=torch.zeros(2).long(),
    )
    if ids:
        item.gt_instances.instances_ids = torch.tensor([0, 3])
    return item


def track(model: torch.nn.Module, frames: int = 3) -> list[TrackDataSample]:
    image = torch.rand(1, 1, 3, 64, 96)
    out = []
    for frame in range(frames):
        video, frame_sample = TrackDataSample(), sample()
        frame_sample.set_metainfo(dict(frame_id=frame))
        video.video_data_samples = [frame_sample]
        out += model.eval()(image, [video], mode="predict")
    return out


@pytest.mark.parametrize("scope", ["fairmot_mm", "mmdet", "mmengine"])
def test_heads_and_tracker_on_a_resnet(scope):
    cfg = dict(
        type="fairmot_mm.FairMOT",
        data_preprocessor=PREPROCESSOR,
        **RESNET18,
        bbox_head=dict(type="fairmot_mm.FairMOTHead", in_channels=64),
        reid_head=dict(type="fairmot_mm.EmbeddingHead", in_channels=64, num_ids=4),
        tracker=dict(type="fairmot_mm.JDETracker", obj_score_thr=0.05),
    )
    with DefaultScope.overwrite_default_scope(scope):
        model = MODELS.build(cfg)
    losses = model(torch.rand(2, 3, 64, 96), [sample(), sample()], mode="loss")
    losses["loss"].backward()
    assert model.backbone.conv1.weight.grad.abs().sum() > 0
    out = track(model)
    assert len(out[1][0].pred_track_instances) > 0
    # A still picture: who is there on one frame is there on the next.
    ids = [set(o[0].pred_track_instances.instances_id.tolist()) for o in out]
    assert ids[0] & ids[2]


@pytest.mark.parametrize("head", ["CenterNetHead", "fairmot_mm.FairMOTHead"])
def test_our_network_in_a_pure_detector(head):
    # A config of the toolbox: its own parts look for each other in its scope.
    init_default_scope("mmdet")
    features = dict(feat_channels=64, num_classes=1)
    detector = MODELS.build(
        ConfigDict(
            type="CenterNet",
            backbone=dict(type="fairmot_mm.DLANet", out_indices=(2, 3, 4, 5)),
            neck=dict(type="fairmot_mm.DLANeck"),
            bbox_head=dict(type=head, in_channels=64, **features),
            test_cfg=dict(topk=20, local_maximum_kernel=3, max_per_img=20),
        )
    )
    losses = detector(torch.rand(1, 3, 64, 96), [sample(ids=False)], mode="loss")
    sum(losses.values()).backward()
    assert detector.neck.dla_up[0].nodes[0].conv.weight.grad.abs().sum() > 0
    found = detector.eval()(torch.rand(1, 3, 64, 96), [sample()], mode="predict")
    boxes = found[0].pred_instances.bboxes
    assert 0 < len(boxes) <= 20
    assert boxes.isfinite().all()


def test_our_tracker_fed_by_another_detector():
    init_default_scope("mmdet")
    cfg = dict(
        type="mmdet.ByteTrack",
        data_preprocessor=PREPROCESSOR,
        detector=dict(
            type="mmdet.CenterNet",
            **RESNET18,
            bbox_head=dict(
                type="mmdet.CenterNetHead",
                num_classes=1,
                in_channels=64,
                feat_channels=64,
            ),
            test_cfg=dict(topk=10, local_maximum_kernel=3, max_per_img=10),
        ),
        tracker=dict(type="fairmot_mm.JDETracker", obj_score_thr=0.0),
    )
    model = MODELS.build(ConfigDict(cfg))
    assert isinstance(model.tracker, JDETracker)
    out = track(model)
    ids = [set(o[0].pred_track_instances.instances_id.tolist()) for o in out]
    assert ids[0] & ids[1] & ids[2]


def test_another_tracker_inside_fairmot(model_cfg):
    torch.manual_seed(0)
    model_cfg["tracker"] = BYTE_TRACKER
    model = MODELS.build(model_cfg)
    # An untrained head's boxes have no extent that could overlap.
    torch.nn.init.constant_(model.bbox_head.size_branch[-1].bias, 3)
    out = track(model)
    ids = [set(o[0].pred_track_instances.instances_id.tolist()) for o in out]
    assert ids[0] & ids[1] & ids[2]


@pytest.mark.parametrize(
    ("key", "part", "message"),
    [
        (
            "bbox_head",
            dict(
                type="mmdet.CenterNetHead",
                feat_channels=8,
                num_classes=1,
                loss_center_heatmap=dict(type="mmdet.GaussianFocalLoss"),
                loss_wh=dict(type="mmdet.L1Loss"),
                loss_offset=dict(type="mmdet.L1Loss"),
            ),
            r"bbox_head=CenterNetHead lacks heatmap, boxes_at, .*"
            r"loss_by_targets, predict_at_peaks: use fairmot_mm\.FairMOTHead",
        ),
        (
            "reid_head",
            dict(type="fairmot_mm.FairMOTHead"),
            r"reid_head=FairMOTHead lacks embeddings_at: use fairmot_mm\.EmbeddingHead",
        ),
        # Said before it is built, which would fail over its unscoped losses.
        (
            "bbox_head",
            dict(type="mmdet.CenterNetHead"),
            "bbox_head=CenterNetHead lacks",
        ),
        ("tracker", dict(type="fairmot_mm.FairMOTHead"), "tracker=FairMOTHead .*track"),
    ],
)
def test_a_part_that_lacks_something_is_named(key, part, message):
    cfg = dict(
        type="fairmot_mm.FairMOT",
        **RESNET18,
        bbox_head=dict(type="fairmot_mm.FairMOTHead", in_channels=64),
        reid_head=dict(type="fairmot_mm.EmbeddingHead", in_channels=64),
    )
    with pytest.raises(TypeError, match=message):
        MODELS.build(cfg | {key: part | dict(in_channels=64)})


@pytest.mark.parametrize(
    ("key", "changes", "message"),
    [
        (
            "bbox_head",
            dict(in_channels=7),
            r"bbox_head\.in_channels=7.*\[64\] channels",
        ),
        (
            "reid_head",
            dict(in_channels=7),
            r"reid_head\.in_channels=7.*\[64\] channels",
        ),
        ("neck", dict(in_channels=40), r"neck\.in_channels=40.*\[512\] channels"),
        (
            "bbox_head",
            dict(feat_channels=-1),
            r"bbox_head .*feat_channels=-1, expected",
        ),
        (
            "bbox_head",
            dict(loss_size=dict(type="mmdet.L1Loss", a=1)),
            "bbox_head .*'a'",
        ),
    ],
)
def test_what_does_not_fit_is_named(key, changes, message):
    cfg = dict(
        type="fairmot_mm.FairMOT",
        **RESNET18,
        bbox_head=dict(type="fairmot_mm.FairMOTHead", in_channels=64),
        reid_head=dict(type="fairmot_mm.EmbeddingHead", in_channels=64),
    )
    cfg[key] = cfg[key] | changes
    with pytest.raises((TypeError, ValueError), match=message):
        MODELS.build(cfg)(torch.rand(1, 3, 64, 96), mode="tensor")
