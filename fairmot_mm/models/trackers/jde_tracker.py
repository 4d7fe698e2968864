from dataclasses import dataclass, fields

import numpy as np
import torch
from mmdet.structures import DetDataSample
from mmengine.structures import InstanceData
from torch import Tensor

from fairmot_mm.registry import MODELS
from fairmot_mm.structures.frame_rate import DEFAULT_FRAME_RATE, usable_frame_rate

from .association import assign, box_iou, cosine_distance
from .camera_motion import CameraFollower, warp_states
from .detections import Detections, normalised
from .kalman_filter import GATE, KalmanFilter


@dataclass
class _Tracks:
    """N tracks as arrays; ``tracks[index]`` selects and orders all of them."""

    ids: np.ndarray  # (N,)
    labels: np.ndarray  # (N,)
    scores: np.ndarray  # (N,)
    means: np.ndarray  # (N, 8)
    covariances: np.ndarray  # (N, 8, 8)
    embeddings: np.ndarray  # (N, D) of length 1, smoothed
    first_frame: np.ndarray  # (N,)
    last_frame: np.ndarray  # (N,) the last frame with a detection
    tracked: np.ndarray  # (N,) found on the last frame; lost if not
    confirmed: np.ndarray  # (N,) found on a second frame, or there from the start
    expired: np.ndarray  # (N,) was lost for too long at some time

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, index: np.ndarray) -> "_Tracks":
        return _Tracks(*(getattr(self, field.name)[index] for field in fields(self)))

    def __add__(self, other: "_Tracks") -> "_Tracks":
        return _Tracks(
            *(
                np.concatenate((getattr(self, field.name), getattr(other, field.name)))
                for field in fields(self)
            )
        )

    @property
    def boxes(self) -> np.ndarray:
        """Boxes (N, 4) xyxy in pixels."""
        return _from_xyah(self.means[:, :4])


@MODELS.register_module()
class JDETracker:
    """Online tracker of FairMOT: association by appearance, then by overlap.

    Zhang et al., *FairMOT*, arXiv:2004.01888, section 3.4; the published results to
    the digit. Each frame, tracks are moved on by a Kalman filter and matched with the
    detections in three rounds: by embedding fused with Mahalanobis distance, the rest
    of the tracked ones by overlap, and tracks seen only once by overlap. What is left
    starts a track. Tracks and detections of different classes are never matched.

    Args:
        obj_score_thr (float): Detections must score higher than this.
        num_frames_retain (int): Frames a lost track is kept at 30 frames a second.
        min_box_area (float): Hides boxes of no more than this many square pixels.
            0 hides none.
        max_aspect_ratio (float | None): Hides boxes of which width / height is greater.
        embedding_weight (float): Share of the embedding in the fused cost.
        embedding_momentum (float): Share of the past in the smoothed embedding.
        embedding_cost_limit (float): Greatest fused cost of a match.
        iou_cost_limit (float): Greatest 1 - IoU for tracked ones.
        unconfirmed_cost_limit (float): Greatest 1 - IoU for tracks seen only once.
        duplicate_iou (float): Of a tracked and a lost track that overlap more, the
            younger one is dropped.
        low_score_thr (float | None): Detections above this and not above
            ``obj_score_thr`` may carry on tracked ones that found nothing better, by
            overlap; they start nothing and do not touch the embedding (BYTE, Zhang et
            al., arXiv:2110.06864). None takes no notice of them.
        camera_motion (dict | None): Estimator of the camera's motion, by which tracks
            move along: ``SparseFlowMotion`` or ``mmdet.CameraMotionCompensation``.
        noise_by_score (bool): Whether a box counts the more in the Kalman filter, the
            higher it scores (NSA).
    """

    def __init__(
        self,
        obj_score_thr: float = 0.4,
        num_frames_retain: int = 30,
        min_box_area: float = 0.0,
        max_aspect_ratio: float | None = None,
        embedding_weight: float = 0.98,
        embedding_momentum: float = 0.9,
        embedding_cost_limit: float = 0.4,
        iou_cost_limit: float = 0.5,
        unconfirmed_cost_limit: float = 0.7,
        duplicate_iou: float = 0.85,
        low_score_thr: float | None = None,
        camera_motion: dict | None = None,
        noise_by_score: bool = False,
    ) -> None:
        if low_score_thr is not None and low_score_thr > obj_score_thr:
            raise ValueError(f"{low_score_thr=} must not be above {obj_score_thr=}")
        self.obj_score_thr = obj_score_thr
        self.num_frames_retain = num_frames_retain
        self.min_box_area = min_box_area
        self.max_aspect_ratio = max_aspect_ratio
        self.embedding_weight = embedding_weight
        self.embedding_momentum = embedding_momentum
        self.embedding_cost_limit = embedding_cost_limit
        self.iou_cost_limit = iou_cost_limit
        self.unconfirmed_cost_limit = unconfirmed_cost_limit
        self.duplicate_iou = duplicate_iou
        self.low_score_thr = low_score_thr
        self.camera = None if camera_motion is None else CameraFollower(camera_motion)
        self.kalman_filter = KalmanFilter(noise_by_score)
        self.reset()

    def reset(self, frame_rate: float | None = DEFAULT_FRAME_RATE) -> None:
        """Forget all tracks and start a new video.

        Args:
            frame_rate: Frames per second, 0.01 to 480; anything else is taken for 30
                with a warning. A lost track is kept for
                ``int(frame_rate / 30 * num_frames_retain)`` frames.
        """
        frame_rate = usable_frame_rate(frame_rate, type(self).__name__)
        self.max_frames_lost = int(frame_rate / 30.0 * self.num_frames_retain)
        if self.camera is not None:
            self.camera.reset()
        self._frame = 0
        self._next_id = 1
        # None until the first detection tells how long embeddings are.
        self._tracks: _Tracks | None = None

    def track(
        self,
        model: torch.nn.Module | None = None,
        img: Tensor | None = None,
        data_sample: DetDataSample | None = None,
        **kwargs,
    ) -> InstanceData:
        """Track the next frame: the toolboxes' entry.

        Args:
            model (torch.nn.Module | None): Not read.
            img (Tensor | None): (1, 3, H, W), the network's input; read to follow the
                camera.
            data_sample (DetDataSample): ``pred_instances`` with ``bboxes``, ``scores``,
                ``labels`` and, if the detector makes them, ``embeddings``; a
                ``frame_id`` of 0 in its metas starts a new video at their
                ``frame_rate``.
            **kwargs: What the toolboxes hand to other trackers; ``data_preprocessor``
                is read to follow the camera.

        Returns:
            InstanceData: See :meth:`update`.
        """
        if data_sample.metainfo.get("frame_id") == 0:
            self.reset(data_sample.metainfo.get("frame_rate", 30.0))
        motion = None
        if self.camera is not None:
            motion = self.camera.follow(
                img, data_sample.metainfo, kwargs.get("data_preprocessor")
            )
        found = data_sample.pred_instances
        return self.update(
            found.bboxes,
            found.scores,
            found.get("embeddings"),
            found.get("labels"),
            motion,
        )

    def update(
        self,
        bboxes: Tensor | np.ndarray,
        scores: Tensor | np.ndarray,
        embeddings: Tensor | np.ndarray | None,
        labels: Tensor | np.ndarray | None = None,
        camera_motion: np.ndarray | None = None,
    ) -> InstanceData:
        """Track the next frame.

        Args:
            bboxes (Tensor | np.ndarray): (M, 4) xyxy in pixels of the image.
            scores (Tensor | np.ndarray): (M,).
            embeddings (Tensor | np.ndarray | None): (M, D). Without any, tracks are
                associated by their motion alone.
            labels (Tensor | np.ndarray | None): (M,) classes, 0 if None.
            camera_motion (np.ndarray | None): (2, 3), takes pixels of the last frame
                to those of this one; None for a camera that stands still.

        Returns:
            InstanceData: The tracks confirmed on this frame, as tensors on the device
            of ``bboxes``: ``bboxes`` (N, 4), ``scores``, ``labels``, ``instances_id``.

        Raises:
            ValueError: If the arrays differ in length, hold NaN or infinity, or
                embeddings change their length within a video.
        """
        self._frame += 1
        detections, doubtful = self._select(bboxes, scores, embeddings, labels)
        if self._tracks is None:
            self._tracks = self._start(detections, np.empty(0, int))
        length = self._tracks.embeddings.shape[1]
        if len(detections) == 0:
            detections.embeddings = np.empty((0, length), np.float32)
        elif len(self._tracks) == 0:
            self._tracks.embeddings = detections.embeddings[:0]
        elif detections.embeddings.shape[1] != length:
            raise ValueError(
                f"embeddings of length {detections.embeddings.shape[1]} came in, those "
                f"of this video so far have {length}: call reset() before a new video"
            )

        tracks = self._tracks
        pool = np.concatenate(
            (
                np.flatnonzero(tracks.tracked & tracks.confirmed),
                np.flatnonzero(~tracks.tracked),
            )
        )
        unconfirmed = np.flatnonzero(tracks.tracked & ~tracks.confirmed)
        was_lost = ~tracks.tracked
        expired_before = tracks.expired.copy()
        self._predict(pool)
        if camera_motion is not None:
            tracks.means, tracks.covariances = warp_states(
                tracks.means, tracks.covariances, camera_motion
            )

        # 1: by appearance and motion
        free = np.arange(len(detections))
        costs = self._fused_costs(pool, detections)
        matched, free, pool = self._match(
            pool, free, costs, self.embedding_cost_limit, detections
        )
        refound = matched[was_lost[matched]]
        # 2: tracked ones by overlap
        missing = pool[tracks.tracked[pool]]
        costs = self._iou_costs(missing, free, detections)
        _, free, missing = self._match(
            missing, free, costs, self.iou_cost_limit, detections
        )
        if len(doubtful):
            everyone = np.arange(len(doubtful))
            costs = self._iou_costs(missing, everyone, doubtful)
            _, _, missing = self._match(
                missing, everyone, costs, self.iou_cost_limit, doubtful
            )
        # 3: those seen only once by overlap
        costs = self._iou_costs(unconfirmed, free, detections)
        _, free, refuted = self._match(
            unconfirmed, free, costs, self.unconfirmed_cost_limit, detections
        )

        tracks.tracked[missing] = False
        lost = np.flatnonzero(was_lost & ~tracks.tracked)
        age = self._frame - tracks.last_frame[lost]
        tracks.expired[lost[age > self.max_frames_lost]] = True
        # A track that expires can still be found on the next frame, and one that was
        # found then is dropped as soon as it is lost again: so it is published.
        lost = np.concatenate((lost, missing))
        lost = lost[~expired_before[lost]]

        kept = tracks.tracked & ~was_lost
        kept[refuted] = False
        live = (
            tracks[np.flatnonzero(kept)]
            + self._start(detections, free)
            + tracks[refound]
        )
        self._tracks = self._without_duplicates(live, tracks[lost])
        return self._output(bboxes.device if isinstance(bboxes, Tensor) else "cpu")

    @property
    def lowest_score(self) -> float:
        """Detections that do not score higher are not looked at."""
        lowest = self.low_score_thr
        return self.obj_score_thr if lowest is None else lowest

    def _select(self, *arrays: Tensor | np.ndarray | None) -> list[Detections]:
        """Detections of high score, and of low score if those count."""
        found = Detections.select(*arrays, self.lowest_score)
        certain = found.scores > self.obj_score_thr
        detections, doubtful = found[certain], found[~certain]
        # Who is hard to see is not told by his looks, and does not change a track's.
        doubtful.embeddings = doubtful.embeddings[:, :0]
        return [detections, doubtful]

    def _start(self, detections: Detections, chosen: np.ndarray) -> _Tracks:
        """New tracks of the chosen detections, confirmed only on the first frame."""
        means, covariances = self.kalman_filter.initiate(
            detections.measurements[chosen]
        )
        count = len(chosen)
        self._next_id += count
        return _Tracks(
            ids=np.arange(self._next_id - count, self._next_id),
            labels=detections.labels[chosen],
            scores=detections.scores[chosen],
            means=means,
            covariances=covariances,
            embeddings=detections.embeddings[chosen],
            first_frame=np.full(count, self._frame),
            last_frame=np.full(count, self._frame),
            tracked=np.ones(count, bool),
            confirmed=np.full(count, self._frame == 1),
            expired=np.zeros(count, bool),
        )

    def _predict(self, chosen: np.ndarray) -> None:
        """Move the chosen tracks on by one frame."""
        tracks = self._tracks
        means = tracks.means[chosen]
        # The height of a track that is out of sight does not go on growing.
        means[~tracks.tracked[chosen], 7] = 0
        tracks.means[chosen], tracks.covariances[chosen] = self.kalman_filter.predict(
            means, tracks.covariances[chosen]
        )

    def _fused_costs(self, chosen: np.ndarray, detections: Detections) -> np.ndarray:
        """Embedding and Mahalanobis distance (FairMOT, section 3.4), gated."""
        tracks = self._tracks
        motion = self.kalman_filter.gating_distance(
            tracks.means[chosen], tracks.covariances[chosen], detections.measurements
        )
        appearance = cosine_distance(tracks.embeddings[chosen], detections.embeddings)
        costs = (
            self.embedding_weight * appearance + (1 - self.embedding_weight) * motion
        )
        costs[motion > GATE] = np.inf
        costs[tracks.labels[chosen][:, None] != detections.labels] = np.inf
        return costs

    def _iou_costs(
        self, chosen: np.ndarray, free: np.ndarray, detections: Detections
    ) -> np.ndarray:
        """``1 - IoU`` of the chosen tracks and the free detections."""
        tracks = self._tracks
        costs = 1 - box_iou(
            _from_xyah(tracks.means[chosen, :4]), detections.boxes[free]
        )
        costs[tracks.labels[chosen][:, None] != detections.labels[free]] = np.inf
        return costs

    def _match(
        self,
        chosen: np.ndarray,
        free: np.ndarray,
        costs: np.ndarray,
        limit: float,
        detections: Detections,
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Match, correct what was matched; return it, free detections, other tracks."""
        rows, columns = assign(costs, limit)
        matched, found = chosen[rows], free[columns]
        self._correct(matched, found, detections)
        return matched, np.delete(free, columns), np.delete(chosen, rows)

    def _correct(
        self, matched: np.ndarray, found: np.ndarray, detections: Detections
    ) -> None:
        """Correct tracks by the detections they were matched with."""
        tracks = self._tracks
        tracks.means[matched], tracks.covariances[matched] = self.kalman_filter.update(
            tracks.means[matched],
            tracks.covariances[matched],
            detections.measurements[found],
            detections.scores[found],
        )
        if detections.embeddings.shape[1]:
            self._smooth_embeddings(matched, detections.embeddings[found])
        # A track found again keeps its old score for this frame, as published.
        seen = tracks.tracked[matched]
        tracks.scores[matched[seen]] = detections.scores[found[seen]]
        tracks.last_frame[matched] = self._frame
        tracks.tracked[matched] = True
        tracks.confirmed[matched] = True

    def _smooth_embeddings(self, matched: np.ndarray, embeddings: np.ndarray) -> None:
        past, momentum = self._tracks.embeddings[matched], self.embedding_momentum
        self._tracks.embeddings[matched] = normalised(
            momentum * past + (1 - momentum) * embeddings
        )

    def _without_duplicates(self, live: _Tracks, lost: _Tracks) -> _Tracks:
        """Join tracked and lost tracks, of two on one object only the older."""
        overlap = box_iou(live.boxes, lost.boxes)
        overlap[live.labels[:, None] != lost.labels] = 0
        # Compared as a distance: 1 - 0.85 and 0.15 differ in the last digit.
        pairs = np.nonzero(1 - overlap < round(1 - self.duplicate_iou, 12))
        age_live, age_lost = (
            tracks.last_frame[side] - tracks.first_frame[side]
            for tracks, side in zip((live, lost), pairs, strict=True)
        )
        keep_live, keep_lost = np.ones(len(live), bool), np.ones(len(lost), bool)
        keep_lost[pairs[1][age_live > age_lost]] = False
        keep_live[pairs[0][age_live <= age_lost]] = False
        return live[keep_live] + lost[keep_lost]

    def _output(self, device: torch.device | str) -> InstanceData:
        tracks = self._tracks[self._tracks.tracked & self._tracks.confirmed]
        boxes = tracks.boxes
        width, height = (boxes[:, 2:] - boxes[:, :2]).T
        shown = np.ones(len(tracks), bool)
        if self.min_box_area > 0:
            shown &= width * height > self.min_box_area
        if self.max_aspect_ratio is not None:
            shown &= ~(width / height > self.max_aspect_ratio)
        return InstanceData(
            bboxes=torch.from_numpy(boxes[shown]).float().to(device),
            scores=torch.from_numpy(tracks.scores[shown]).float().to(device),
            labels=torch.from_numpy(tracks.labels[shown]).long().to(device),
            instances_id=torch.from_numpy(tracks.ids[shown]).long().to(device),
        )


def _from_xyah(states: np.ndarray) -> np.ndarray:
    """Boxes (N, 4) xyxy of (N, 4) centre, aspect ratio and height."""
    height = states[:, 3]
    sides = np.column_stack((states[:, 2] * height, height))
    top_left = states[:, :2] - sides / 2
    return np.concatenate((top_left, top_left + sides), axis=1)
