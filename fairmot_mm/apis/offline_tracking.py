"""Tracking without the network: of detections that were written before."""

import copy
from collections.abc import Callable, Iterable, Mapping
from types import SimpleNamespace
from typing import Any

import numpy as np
from mmdet.structures import DetDataSample
from mmengine.config import Config
from mmengine.registry import init_default_scope

from fairmot_mm.engine.hooks.dump_detections_hook import (
    network_digest,
    show_detections,
    tracking_settings,
)
from fairmot_mm.evaluation.interpolation import interpolate_gaps
from fairmot_mm.formats.boxes import xyxy_to_xywh
from fairmot_mm.formats.detection_dumps import DetectionDump
from fairmot_mm.formats.mot_results import result_rows
from fairmot_mm.models.trackers import JDETracker
from fairmot_mm.registry import MODELS, TASK_UTILS


class OfflineTracker:
    """The tracker of a config, run on dumps instead of on a network's output.

    Trackers of the toolboxes run as well, unless they look at the frames.

    Args:
        cfg: Config with ``model.tracker``, and the settings of ``MOTMetric`` that
            change results (``max_gap``, ``label``, ``classes``).

    Raises:
        ValueError: The config has no tracker.
    """

    def __init__(self, cfg: Config) -> None:
        init_default_scope(cfg.get("default_scope", "fairmot_mm"))
        model: Any = cfg.get("model") or {}
        if model.get("tracker") is None:
            raise ValueError(f"{cfg.filename}: no model.tracker to run")
        self.tracker: Any = MODELS.build(model.tracker)
        # What the toolboxes' trackers may read of a model.
        self._model = SimpleNamespace(with_cmc=False, with_reid=False)
        if model.get("motion") is not None:
            self._model.motion = TASK_UTILS.build(model.motion)
        self.settings = tracking_settings(cfg)["test_evaluator"]
        self._network = network_digest(cfg) if model.get("backbone") else ""
        self._name = cfg.filename

    def check(self, dump: DetectionDump, any_network: bool = False) -> None:
        """Refuse a dump that does not hold what the tracker needs.

        Args:
            dump: The detections.
            any_network: Allow those of another network than the config describes.

        Raises:
            ValueError: The dump is of another network, lacks low scores that count or
                the camera's motion.
        """
        info = dump.info
        other = self._network and info.network and info.network != self._network
        if other and not any_network:
            raise ValueError(
                f"{dump.source}: detections of the network of {info.config}, but "
                f"{self._name} describes another one: give the config they were "
                "written with, or --any-network"
            )
        lowest = getattr(self.tracker, "lowest_score", info.min_score)
        if lowest < info.min_score:
            raise ValueError(
                f"{dump.source}: holds scores above {info.min_score:g}, but the "
                f"tracker uses those above {lowest:g}: write the dump with these "
                "thresholds"
            )
        camera = getattr(self.tracker, "camera", None)
        if camera is None:
            return
        if dump.camera_motions is None:
            raise ValueError(
                f"{dump.source}: does not say how the camera moves, so that "
                "model.tracker.camera_motion cannot work: set it to None, or write a "
                "dump by tools/test.py --dump"
            )
        if _short(info.camera) != _short(camera.cfg):
            raise ValueError(
                f"{dump.source}: camera motion by {info.camera}, but the tracker asks "
                f"for {camera.cfg}: write the dump with this camera_motion"
            )

    def track(
        self, dump: DetectionDump, every: int = 1, by_time: bool = True
    ) -> np.ndarray:
        """Track a video.

        Args:
            dump: Its detections.
            every: Only every so many-th frame is looked at.
            by_time: Whether the tracker knows that, if it is ours.

        Returns:
            (N, 8) frame, identity, x, y, w, h, score, class from 1.
        """
        numbers = range(dump.info.first, dump.info.last + 1, every)
        frame_tracker = self._frame_tracker(dump, every if by_time else 1)
        rows = np.concatenate([np.empty((0, 8)), *map(frame_tracker, numbers)])
        label = self.settings.get("label")
        if label is not None:
            rows = rows[rows[:, 7] == label + 1]
        max_gap = self.settings.get("max_gap", 0)
        return interpolate_gaps(rows, max_gap) if max_gap else rows

    def _frame_tracker(
        self, dump: DetectionDump, elapsed: int
    ) -> Callable[[int], np.ndarray]:
        """Tracks the next frame, given its number."""
        info = dump.info

        def by_toolbox(number: int) -> np.ndarray:
            metas = dict(
                frame_id=number - info.first,
                frame_rate=info.frame_rate,
                ori_shape=(info.height, info.width),
            )
            sample = DetDataSample(metainfo=metas)
            show_detections(sample, dump.frame(number))
            tracks = self.tracker.track(
                model=self._model,
                img=None,
                feats=None,
                data_sample=sample,
                data_preprocessor=None,
                rescale=True,
            )
            rows = result_rows(number, tracks)
            return np.column_stack((rows, tracks.labels.numpy() + 1))

        def by_arrays(number: int) -> np.ndarray:
            found = dump.frame(number)
            embeddings = found.embeddings if found.embeddings.shape[1] else None
            followed = self.tracker.camera is not None
            self.tracker.advance(
                found.bboxes,
                found.scores,
                embeddings,
                found.labels,
                found.camera_motion if followed else None,
                elapsed,
            )
            tracks = self.tracker.shown_tracks()
            # Rounded as the tracker's output of tensors is.
            boxes = tracks.boxes.astype(np.float32).astype(float)
            return np.column_stack(
                (
                    np.full(len(boxes), number),
                    tracks.ids,
                    xyxy_to_xywh(boxes),
                    tracks.scores.astype(np.float32),
                    tracks.labels + 1,
                )
            )

        if not isinstance(self.tracker, JDETracker):
            return by_toolbox
        self.tracker.reset(info.frame_rate)
        return by_arrays

    def with_classes(self, dump: DetectionDump) -> bool:
        """Whether result files have a column for the class, as ``MOTMetric`` says."""
        several = not dump.info.in_folder and len(dump.info.classes) > 1
        return self.settings.get("classes") is not None or several


def config_of_dumps(
    dumps: Iterable[DetectionDump], settings: Mapping[str, object] | None = None
) -> Config:
    """A config for :class:`OfflineTracker` of the run that wrote the dumps.

    Args:
        dumps: The dumps; of detections from elsewhere the reference tracker's options
            are taken.
        settings: Changes, as of ``--cfg-options``.

    Raises:
        ValueError: The dumps were written with several settings.
    """
    plain = dict(model=dict(tracker=dict(type="JDETracker")), test_evaluator={})
    one, *others = dumps
    for other in others:
        if other.info.tracking != one.info.tracking:
            raise ValueError(
                f"{one.source} and {other.source} were written with different options "
                "of the tracker: give the config to track with"
            )
    cfg = Config(copy.deepcopy(one.info.tracking or plain))
    cfg.test_evaluator = dict(cfg.test_evaluator, type="MOTMetric")
    cfg.merge_from_dict(dict(settings or {}))
    return cfg


def _short(camera: dict | None) -> dict:
    """A component's config without the registry in front of its name."""
    camera = dict(camera or {})
    return camera | dict(type=str(camera.get("type")).removeprefix("fairmot_mm."))
