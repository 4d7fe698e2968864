"""MMTracking's trackers in FairMOT, our tracker in MMTracking's models."""

import mmdet.structures
import numpy as np
import pytest
import torch
from mmdet.structures import DetDataSample
from mmengine.config import ConfigDict
from mmengine.registry import DefaultScope
from mmengine.structures import InstanceData
from mmtrack.models.motion import KalmanFilter
from mmtrack.models.trackers import ByteTracker, SORTTracker
from mmtrack.structures import TrackDataSample
from networks import RESNET18

from fairmot_mm.models import FairMOT, JDETracker
from fairmot_mm.registry import MODELS

FAIRMOT = dict(
    **RESNET18,
    bbox_head=dict(type="fairmot_mm.FairMOTHead", in_channels=64),
    reid_head=dict(type="fairmot_mm.EmbeddingHead", in_channels=64),
)
DETECTOR = dict(
    _scope_="mmdet",
    type="CenterNet",
    **RESNET18,
    bbox_head=dict(
        type="CenterNetHead", num_classes=1, in_channels=64, feat_channels=64
    ),
    test_cfg=dict(topk=10, local_maximum_kernel=3, max_per_img=10),
)
REID = dict(
    type="mmtrack.BaseReID",
    data_preprocessor=None,
    backbone=dict(type="mmcls.ResNet", depth=18, num_stages=4, out_indices=(3,)),
    neck=dict(type="mmtrack.GlobalAveragePooling", kernel_size=(2, 1), stride=1),
    head=dict(
        type="mmtrack.LinearReIDHead",
        num_fcs=1,
        in_channels=512,
        fc_channels=32,
        out_channels=16,
        num_classes=5,
        loss_cls=dict(type="mmcls.CrossEntropyLoss"),
        loss_triplet=dict(type="mmtrack.TripletLoss"),
        norm_cfg=dict(type="BN1d"),
        act_cfg=dict(type="ReLU"),
    ),
)
BYTE = dict(
    type="mmtrack.ByteTracker",
    obj_score_thrs=dict(high=0.3, low=0.1),
    init_track_thr=0.3,
    num_frames_retain=30,
)
SORT = dict(type="mmtrack.SORTTracker", obj_score_thr=0.3, reid=None, match_iou_thr=0.5)
KALMAN = dict(type="mmtrack.KalmanFilter")
NUM_FRAMES = 8


def walkers(frame, scores=(0.9, 0.8)):
    """Two people on opposite ways, at 5 pixels a frame."""
    left = torch.tensor([[10.0 + 5 * frame, 5, 30 + 5 * frame, 60]])
    right = torch.tensor([[80.0 - 5 * frame, 70, 100 - 5 * frame, 125]])
    return InstanceData(
        bboxes=torch.cat((left, right)),
        scores=torch.tensor(scores),
        labels=torch.zeros(2).long(),
        embeddings=torch.eye(2, 8),
    )


def frame_sample(frame, kind=TrackDataSample):
    return kind(
        metainfo=dict(
            frame_id=frame,
            ori_shape=(128, 128),
            img_shape=(128, 128),
            batch_input_shape=(128, 128),
            scale_factor=(1.0, 1.0),
            border=(0, 128, 0, 128),
        )
    )


@pytest.fixture
def seen(monkeypatch):
    """FairMOT sees the walkers."""

    def see(model, inputs, metas):
        # The second is barely to be seen for a while.
        hidden = metas["frame_id"] in (4, 5)
        return walkers(metas["frame_id"], (0.9, 0.15 if hidden else 0.8))

    monkeypatch.setattr(FairMOT, "predict_frame", see)


def build(scope, **cfg):
    with DefaultScope.overwrite_default_scope(scope):
        return MODELS.build(ConfigDict(cfg)).eval()


def run(model):
    """Track twice, as two videos; identities by frame of the second."""
    for _ in range(2):
        tracks = []
        for frame in range(NUM_FRAMES):
            sample = frame_sample(frame)
            if type(model) is FairMOT:
                sample = frame_sample(frame, DetDataSample)
                video = mmdet.structures.TrackDataSample()
                video.video_data_samples = [sample]
                model(torch.rand(1, 1, 3, 128, 128), [video], mode="predict")
            else:
                image = torch.rand(1, 1, 3, 128, 128)
                with torch.no_grad():
                    (sample,) = model(dict(img=image), [sample], mode="predict")
            tracks.append(sample.pred_track_instances)
    return tracks


@pytest.mark.parametrize(
    ("kind", "scope"), [("FairMOT", "fairmot_mm"), ("MMTrackFairMOT", "mmtrack")]
)
class TestTheirTrackersInOurModel:
    def build(self, kind, scope, **parts):
        return build(scope, type=f"fairmot_mm.{kind}", **FAIRMOT, **parts)

    def test_byte_tracker(self, kind, scope, seen):
        model = self.build(kind, scope, tracker=BYTE, motion=KALMAN)
        assert type(model.tracker) is ByteTracker
        assert type(model.motion) is KalmanFilter
        # The second one's low scores are enough for its second association.
        assert [t.instances_id.tolist() for t in run(model)] == [[0, 1]] * NUM_FRAMES

    def test_sort_tracker(self, kind, scope, seen):
        model = self.build(kind, scope, tracker=SORT, motion=KALMAN)
        assert type(model.tracker) is SORTTracker
        expected = [[0, 1]] * 4 + [[0]] * 2 + [[0, 2]] * 2
        assert [t.instances_id.tolist() for t in run(model)] == expected

    def test_a_tracker_that_wants_reid_is_refused(self, kind, scope):
        with pytest.raises(ValueError, match=r"SORTTracker.*tracker\.reid=None"):
            self.build(kind, scope, tracker=dict(type="mmtrack.SORTTracker"))

    def test_kalman_filter_in_a_tracker_of_mmdetection(self, kind, scope, seen):
        tracker = BYTE | dict(type="mmdet.ByteTracker", motion=KALMAN)
        model = self.build(kind, scope, tracker=tracker)
        assert type(model.tracker.motion) is KalmanFilter
        assert [t.instances_id.tolist() for t in run(model)] == [[0, 1]] * NUM_FRAMES


class TestOurTrackerInTheirModels:
    @pytest.mark.parametrize("kind", ["ByteTrack", "DeepSORT"])
    def test_in_place_of_theirs(self, kind, monkeypatch):
        model = build(
            "mmtrack",
            type=kind,
            detector=DETECTOR,
            tracker=dict(type="fairmot_mm.JDETracker", obj_score_thr=0.3),
        )
        assert type(model.tracker) is JDETracker
        plain = JDETracker(obj_score_thr=0.3)
        see_in_detector(model, monkeypatch)
        for frame, ours in enumerate(run(model)):
            found = walkers(frame)
            expected = plain.update(found.bboxes, found.scores, None, found.labels)
            for key, value in expected.items():
                assert torch.equal(ours[key], value), key
        assert ours.instances_id.tolist() == [1, 2]

    def test_on_a_real_detector(self):
        torch.manual_seed(0)
        model = build(
            "mmtrack",
            type="ByteTrack",
            detector=DETECTOR,
            tracker=dict(type="fairmot_mm.JDETracker", obj_score_thr=0.0),
        )
        tracks = run(model)
        assert len(tracks[0]) == 10
        assert all(t.bboxes.isfinite().all() for t in tracks)

    def test_embeddings_of_a_reid_network(self, monkeypatch):
        torch.manual_seed(0)
        model = build(
            "mmtrack",
            type="DeepSORT",
            detector=DETECTOR,
            reid=REID,
            tracker=dict(
                type="fairmot_mm.MMTrackJDETracker",
                reid_img_scale=(64, 32),
                obj_score_thr=0.3,
            ),
        )
        crops = []
        model.reid.register_forward_pre_hook(
            lambda _, args: crops.append(tuple(args[0].shape))
        )
        see_in_detector(model, monkeypatch)
        tracks = run(model)
        assert crops == [(2, 3, 64, 32)] * (2 * NUM_FRAMES)
        assert tracks[-1].instances_id.tolist() == [1, 2]
        assert model.tracker._tracks.embeddings.shape == (2, 16)
        np.testing.assert_allclose(
            np.linalg.norm(model.tracker._tracks.embeddings, axis=1), 1, atol=1e-6
        )

    def test_identities_follow_the_embeddings(self, monkeypatch):
        """Two who swap places between two frames, told apart by their looks alone."""
        tracker = dict(type="fairmot_mm.MMTrackJDETracker", reid_img_scale=(64, 32))
        model = build(
            "mmtrack", type="DeepSORT", detector=DETECTOR, reid=REID, tracker=tracker
        )
        embeddings = iter((torch.eye(2, 16), torch.eye(2, 16).flip(0)))
        close = torch.tensor([[10.0, 5, 30, 60], [16.0, 5, 36, 60]])

        def detect(detector, image, samples):
            detected(samples, 0)[0].pred_instances.bboxes = close
            return samples

        monkeypatch.setattr(
            type(model.reid), "forward", lambda *_, **__: next(embeddings)
        )
        monkeypatch.setattr(type(model.detector), "predict", detect)
        left = []
        for frame in (0, 1):
            image = dict(img=torch.rand(1, 1, 3, 128, 128))
            (sample,) = model(image, [frame_sample(frame)], mode="predict")
            tracks = sample.pred_track_instances
            left.append(
                dict(
                    zip(tracks.instances_id.tolist(), tracks.bboxes[:, 0], strict=True)
                )
            )
        assert left[0][1] < left[0][2]
        assert left[1][1] > left[1][2]

    def test_with_low_scores_and_the_camera_followed(self, monkeypatch):
        model = build(
            "mmtrack",
            type="DeepSORT",
            data_preprocessor=dict(
                type="TrackDataPreprocessor", mean=[0.0] * 3, std=[255.0] * 3
            ),
            detector=DETECTOR,
            reid=REID,
            tracker=dict(
                type="fairmot_mm.MMTrackJDETracker",
                reid_img_scale=(64, 32),
                obj_score_thr=0.85,
                low_score_thr=0.3,
                camera_motion=dict(type="fairmot_mm.SparseFlowMotion"),
            ),
        )
        seen = []
        estimator = type(model.tracker.camera.estimator)
        monkeypatch.setattr(
            estimator,
            "get_warp_matrix",
            lambda _, last, frame: seen.append(frame.max()) or torch.eye(2, 3),
        )
        # From the second frame on, the second one's scores are low.
        scores = iter([(0.9, 0.9)] + [(0.9, 0.8)] * 7 + [(0.9, 0.9)] + [(0.9, 0.8)] * 7)

        def detect(detector, image, samples):
            detected(samples, samples[0].frame_id)
            samples[0].pred_instances.scores = torch.tensor(next(scores))
            return samples

        monkeypatch.setattr(type(model.detector), "predict", detect)
        tracks = run(model)
        assert [t.instances_id.tolist() for t in tracks] == [[1, 2]] * NUM_FRAMES
        # The camera is followed in pixels, not in normalised colours.
        assert len(seen) == 2 * (NUM_FRAMES - 1)
        assert min(seen) > 200

    def test_nothing_above_the_threshold(self, monkeypatch):
        tracker = dict(
            type="fairmot_mm.MMTrackJDETracker",
            reid_img_scale=(64, 32),
            obj_score_thr=0.95,
        )
        model = build(
            "mmtrack", type="DeepSORT", detector=DETECTOR, reid=REID, tracker=tracker
        )
        see_in_detector(model, monkeypatch)
        assert [len(t) for t in run(model)] == [0] * NUM_FRAMES

    def test_says_that_reid_is_missing(self, monkeypatch):
        tracker = dict(type="fairmot_mm.MMTrackJDETracker")
        model = build("mmtrack", type="DeepSORT", detector=DETECTOR, tracker=tracker)
        see_in_detector(model, monkeypatch)
        with pytest.raises(AttributeError, match=r"without reid: set model\.reid"):
            run(model)


def detected(samples, frame):
    samples[0].pred_instances = walkers(frame)
    del samples[0].pred_instances.embeddings
    return samples


def see_in_detector(model, monkeypatch):
    """A detector of MMDetection sees the walkers."""
    monkeypatch.setattr(
        type(model.detector),
        "predict",
        lambda _, __, samples: detected(samples, samples[0].frame_id),
    )
