"""A hook that writes what a test detects, for tracking without the network."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from mmdet.structures import DetDataSample
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner
from mmengine.structures import InstanceData

from fairmot_mm.formats.detection_dumps import DumpInfo, DumpWriter, FrameDetections
from fairmot_mm.models.trackers.camera_motion import CameraFollower
from fairmot_mm.registry import HOOKS
from fairmot_mm.structures.arrays import to_numpy
from fairmot_mm.structures.frame_rate import DEFAULT_FRAME_RATE, usable_frame_rate

if TYPE_CHECKING:
    from mmengine.config import Config

_CAMERA = dict(type="fairmot_mm.SparseFlowMotion")
_NETWORK = ("backbone", "neck", "bbox_head", "reid_head")


@HOOKS.register_module()
class DumpDetectionsHook(Hook):
    """Writes the detections of every tested sequence, see ``formats.detection_dumps``.

    The tracker of this run is given exactly what is written (embeddings in half
    precision, nothing below the lowest score), so that tracking the file gives the
    tracks of this run bit for bit. The camera's motion is written as well, by the
    tracker's estimator or ``SparseFlowMotion``, so that options which follow the camera
    work without frames.

    Args:
        out_dir: Folder for ``SEQUENCE.parquet``; created if missing.
        min_score: Detections scoring no higher are left out; the tracker's own lowest
            threshold if that is less.
    """

    def __init__(self, out_dir: str, min_score: float = 0.05) -> None:
        self.out_dir = Path(out_dir)
        self.min_score = min_score
        self._writer: DumpWriter | None = None
        self._finished: list[str] = []

    def before_test(self, runner: Runner) -> None:
        """Read along with the tracker.

        Raises:
            ModuleNotFoundError: pyarrow is not installed.
            ValueError: The model has no tracker.
        """
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        tracker = getattr(model, "tracker", None)
        if tracker is None:
            raise ValueError("dumping detections: the model has no tracker")
        self._score = min(self.min_score, getattr(tracker, "lowest_score", 1.0))
        followed = getattr(tracker, "camera", None)
        self._camera = CameraFollower(_CAMERA if followed is None else followed.cfg)
        meta = runner.visualizer.dataset_meta or {}
        self._common: dict[str, Any] = dict(
            classes=tuple(meta.get("classes", ("pedestrian",))),
            min_score=self._score,
            config=Path(runner.cfg.filename or "").stem,
            network=network_digest(runner.cfg),
            weights=_weights_digest(model),
            camera=dict(self._camera.cfg),
            tracking=tracking_settings(runner.cfg),
        )
        self._tracker = tracker
        tracker.track = self._recorded(tracker.track)

    def after_test(self, runner: Runner) -> None:
        """Finish the last file and log where the files are."""
        self._finish()
        vars(self._tracker).pop("track", None)
        if self._finished:
            names = ", ".join(self._finished)
            runner.logger.info(f"detections in {self.out_dir.resolve()}: {names}")
        self._finished = []

    def _recorded(
        self, track: Callable[..., InstanceData]
    ) -> Callable[..., InstanceData]:
        def track_what_is_written(
            *args: object, data_sample: DetDataSample, **kwargs: Any
        ) -> InstanceData:
            if data_sample.frame_id == 0:
                self._start(data_sample)
            assert self._writer is not None  # the first frame's number is 0
            image = kwargs.get("img", args[1] if len(args) > 1 else None)
            motion = self._camera.follow(
                image, data_sample.metainfo, kwargs.get("data_preprocessor")
            )
            found = _to_arrays(data_sample.pred_instances, motion)
            found = found.as_written(self._score)
            self._writer.write(found)
            shown = data_sample.new()
            show_detections(shown, found, data_sample.pred_instances.bboxes.device)
            return track(*args, data_sample=shown, **kwargs)

        return track_what_is_written

    def _start(self, sample: DetDataSample) -> None:
        self._finish()
        self._camera.reset()
        # MOTChallenge's layout: SEQUENCE/img1/000001.jpg.
        name = sample.get("sequence_name") or Path(sample.img_path).parents[1].name
        first = int(sample.get("frame_range", (1, 1))[0])
        height, width = map(int, sample.ori_shape[:2])
        rate = usable_frame_rate(sample.get("frame_rate", DEFAULT_FRAME_RATE), name)
        info = DumpInfo(
            name,
            first,
            first,
            rate,
            height,
            width,
            in_folder=bool(sample.get("sequence_root")),
            **self._common,
        )
        self._writer = DumpWriter(self.out_dir, info)

    def _finish(self) -> None:
        if self._writer is not None:
            self._writer.close()
            self._finished.append(self._writer.path.name)
        self._writer = None


def show_detections(
    sample: DetDataSample, found: FrameDetections, device: torch.device | str = "cpu"
) -> None:
    """Let a tracker see detections that were, or will be, read from a dump."""
    instances = InstanceData(
        bboxes=torch.from_numpy(found.bboxes).to(device),
        scores=torch.from_numpy(found.scores).to(device),
        labels=torch.from_numpy(found.labels).to(device),
    )
    if found.embeddings.shape[1]:
        instances.embeddings = torch.from_numpy(found.embeddings).to(device)
    # The second is the name that MMTracking's trackers read.
    sample.pred_instances = sample.pred_det_instances = instances
    if found.camera_motion is not None:
        sample.set_metainfo(dict(camera_motion=found.camera_motion))


def tracking_settings(cfg: Config) -> dict:
    """What a config says about tracking, as plain values.

    Returns:
        ``model`` with ``tracker`` and ``motion``, and ``test_evaluator`` with the
        settings of ``MOTMetric`` that change results.
    """
    metrics = cfg.get("test_evaluator") or []
    metrics = metrics if isinstance(metrics, list | tuple) else [metrics]
    chosen = [metric for metric in metrics if "MOTMetric" in str(metric.get("type"))]
    settings = chosen[0] if chosen else {}
    keys = [key for key in ("label", "classes", "max_gap") if key in settings]
    parts = [key for key in ("tracker", "motion") if cfg.model.get(key) is not None]
    plain = dict(
        model={key: cfg.model[key] for key in parts},
        test_evaluator={key: settings[key] for key in keys},
    )
    return json.loads(json.dumps(plain))


def network_digest(cfg: Config) -> str:
    """A short text that differs between networks of different descriptions."""
    parts = {key: cfg.model.get(key) for key in _NETWORK}
    text = json.dumps(parts, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _weights_digest(model: torch.nn.Module) -> str:
    digest = hashlib.sha256()
    for value in model.state_dict().values():
        flat = value.detach().cpu().contiguous().flatten().view(torch.uint8)
        digest.update(flat.numpy().tobytes())
    return digest.hexdigest()[:12]


def _to_arrays(instances: InstanceData, motion: np.ndarray) -> FrameDetections:
    boxes = to_numpy(instances.bboxes).reshape(-1, 4)
    embeddings = np.empty((len(boxes), 0), np.float32)
    if "embeddings" in instances:
        embeddings = to_numpy(instances.embeddings)
    return FrameDetections(
        boxes,
        to_numpy(instances.scores).reshape(-1),
        to_numpy(instances.labels).reshape(-1),
        embeddings,
        motion,
    )
