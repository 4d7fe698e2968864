from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from mmdet.structures import DetDataSample
from mmengine.logging import MMLogger
from mmengine.structures import InstanceData
from torch import Tensor

from fairmot_mm.registry import MODELS
from fairmot_mm.structures.arrays import ArrayLike
from fairmot_mm.structures.frame_rate import DEFAULT_FRAME_RATE, usable_frame_rate

from .association import assign, box_iou, cosine_distance, normalised
from .camera_motion import CameraFollower, warp_states
from .detections import Detections
from .kalman_filter import KalmanFilter
from .tracks import Tracks

Costs = Callable[[np.ndarray, Detections], np.ndarray]


@MODELS.register_module()
@dataclass(eq=False)
class JDETracker:
    """Online tracker of FairMOT: association by appearance, then by overlap.

    Zhang et al., *FairMOT*, arXiv:2004.01888, section 3.4; gives the tracks of the
    reference implementation, to the digit. On each frame, tracks are predicted by a
    Kalman filter and matched with the detections in three rounds: by embedding fused
    with Mahalanobis distance, the remaining tracked ones by overlap, and tracks seen
    only once by overlap. Detections that remain start tracks. Tracks and detections of
    different classes are never matched.

    Options beyond the reference tracker, all off by default: ``low_score_thr``,
    ``camera_motion``, ``noise_by_score``. ``docs/tracking.md`` compares the first with
    the tracker of BYTE's authors.

    Bad input does not end a stream. Detections that cannot be tracked (not finite,
    beyond a million pixels, without height) are dropped with one warning and counted in
    ``num_dropped``, which the next :meth:`reset` logs and clears.

    Args:
        obj_score_thr: Detections must score higher than this.
        num_frames_retain: Frames a lost track is kept at 30 frames a second.
        min_box_area: Boxes of no more than this many square pixels are hidden from the
            output, but tracked. 0 hides none.
        max_aspect_ratio: Hides boxes of greater width / height; None hides none.
        embedding_weight: Share of the embedding in the fused cost.
        embedding_momentum: Share of the past in the smoothed embedding.
        embedding_cost_limit: Greatest fused cost of a match.
        iou_cost_limit: Greatest 1 - IoU of a match with a tracked one.
        unconfirmed_cost_limit: Greatest 1 - IoU of a match with a track seen only once.
        duplicate_iou: Of a tracked and a lost track that overlap more, the younger one
            is dropped.
        low_score_thr: Detections above this and not above ``obj_score_thr`` are matched
            by overlap with tracked ones that found no other. They start no track and do
            not update embeddings (BYTE, Zhang et al., arXiv:2110.06864). None ignores
            them.
        low_score_cost_limit: Greatest 1 - IoU of a match with one of these.
        camera_motion: Estimator of the camera's motion, by which tracks are moved:
            ``SparseFlowMotion`` or ``mmdet.CameraMotionCompensation``.
        noise_by_score: Whether a box weighs more in the Kalman filter, the higher it
            scores (NSA).
        output_embeddings: Whether the tracks come with their smoothed ``embeddings``
            (N, D).
    """

    obj_score_thr: float = 0.4
    num_frames_retain: int = 30
    min_box_area: float = 0.0
    max_aspect_ratio: float | None = None
    embedding_weight: float = 0.98
    embedding_momentum: float = 0.9
    embedding_cost_limit: float = 0.4
    iou_cost_limit: float = 0.5
    unconfirmed_cost_limit: float = 0.7
    duplicate_iou: float = 0.85
    low_score_thr: float | None = None
    low_score_cost_limit: float = 0.4
    camera_motion: dict | None = None
    noise_by_score: bool = False
    output_embeddings: bool = False

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if isinstance(value, str):
                raise ValueError(f"{name}={value!r} of the tracker: expected a number")
        low_score_thr, obj_score_thr = self.low_score_thr, self.obj_score_thr
        if low_score_thr is not None and low_score_thr > obj_score_thr:
            raise ValueError(f"{low_score_thr=} must not be above {obj_score_thr=}")
        motion = self.camera_motion
        self.camera = None if motion is None else CameraFollower(motion)
        self.kalman_filter = KalmanFilter(self.noise_by_score)
        self.num_dropped = 0
        self.reset()

    def reset(self, frame_rate: float | None = DEFAULT_FRAME_RATE) -> None:
        """Forget all tracks and start a new video.

        A lost track is kept for ``int(frame_rate / 30 * num_frames_retain)`` frames. A
        ``frame_rate`` outside 0.01 to 480 a second is taken for 30 with a warning.
        """
        frame_rate = usable_frame_rate(frame_rate, type(self).__name__)
        self.max_frames_lost = int(frame_rate / 30.0 * self.num_frames_retain)
        if self.camera is not None:
            self.camera.reset()
        if self.num_dropped:
            MMLogger.get_current_instance().warning(
                f"{self.num_dropped} detections of the last video could not be tracked"
            )
        self.num_dropped = 0
        self._frame: float = 0  # now, in frames
        self._next_id = 1
        nothing, _ = Detections.select(np.empty((0, 4)), np.empty(0), None, None, 0)
        self._tracks = self._start(nothing)

    def track(
        self,
        model: torch.nn.Module | None = None,
        img: Tensor | None = None,
        *,
        data_sample: DetDataSample,
        **kwargs: object,
    ) -> InstanceData:
        """Track the next frame: the toolboxes' entry to :meth:`update`.

        Args:
            model: Not read.
            img: (1, 3, H, W), the network's input; only read to follow the camera.
            data_sample: ``pred_instances`` with ``bboxes``, ``scores`` and perhaps
                ``labels`` and ``embeddings``; a ``frame_id`` of 0 in its metas starts a
                new video at their ``frame_rate``, ``camera_motion`` (2, 3) is taken
                instead of an estimate, and ``elapsed`` is that of :meth:`update`.
            **kwargs: ``data_preprocessor`` is read to follow the camera.
        """
        metas, found = data_sample.metainfo, data_sample.pred_instances
        if metas.get("frame_id") == 0:
            self.reset(metas.get("frame_rate", 30.0))
        motion = None if self.camera is None else metas.get("camera_motion")
        if self.camera is not None and motion is None:
            motion = self.camera.follow(img, metas, kwargs.get("data_preprocessor"))
        embeddings, labels = found.get("embeddings"), found.get("labels")
        elapsed = metas.get("elapsed", 1)
        arrays = (found.bboxes, found.scores, embeddings, labels)
        return self.update(*arrays, motion, elapsed)

    def update(
        self,
        bboxes: ArrayLike,
        scores: ArrayLike,
        embeddings: ArrayLike | None,
        labels: ArrayLike | None = None,
        camera_motion: np.ndarray | None = None,
        elapsed: float = 1,
    ) -> InstanceData:
        """Track the next frame.

        Args:
            bboxes: (M, 4) xyxy in pixels of the image.
            scores: (M,).
            embeddings: (M, D). Without any, tracks are associated by motion alone.
            labels: (M,) classes, 0 if None.
            camera_motion: (2, 3), takes pixels of the last frame to those of this one;
                None for a camera that stands still.
            elapsed: Time since the last frame, in frames at the video's rate: 1 unless
                frames are missing. Tracks move on by it, and lost ones age by it.

        Returns:
            The tracks confirmed on this frame, as tensors on the device of ``bboxes``:
            ``bboxes`` (N, 4), ``scores``, ``labels``, ``instances_id``, and
            ``embeddings`` if asked for.

        Raises:
            ValueError: If the arrays differ in length, embeddings change their length
                within a video, or no time has elapsed.
        """
        self.advance(bboxes, scores, embeddings, labels, camera_motion, elapsed)
        return self._output(bboxes.device if isinstance(bboxes, Tensor) else "cpu")

    def advance(
        self,
        bboxes: ArrayLike,
        scores: ArrayLike,
        embeddings: ArrayLike | None,
        labels: ArrayLike | None = None,
        camera_motion: np.ndarray | None = None,
        elapsed: float = 1,
    ) -> None:
        """:meth:`update` without making its output, for :meth:`shown_tracks`."""
        if not 0 < elapsed < np.inf:
            raise ValueError(f"{elapsed=} frames: time must go on")
        # The first frame is number 1, whatever has elapsed before it.
        elapsed = elapsed if self._frame else 1
        self._frame += elapsed
        found, dropped = Detections.select(
            bboxes, scores, embeddings, labels, self.lowest_score
        )
        self._count_dropped(dropped)
        high, low = self._split(found)
        if elapsed > 1:  # nobody outlives a gap; by steps of one, see _retire
            age = self._frame - self._tracks.last_frame
            self._tracks = self._tracks[age <= self.max_frames_lost + 1]
        tracks = self._tracks
        was_lost, confirmed = ~tracks.tracked, tracks.confirmed.copy()
        tracked = confirmed & ~was_lost

        self._predict(elapsed, camera_motion)

        # Associate, each round with the remainder of the one before.
        by_embedding, by_overlap = self._fused_costs, self._iou_costs
        rest = self._match(confirmed, high, by_embedding, self.embedding_cost_limit)
        rest = self._match(tracked, rest, by_overlap, self.iou_cost_limit)
        self._match(tracked, low, by_overlap, self.low_score_cost_limit)
        rest = self._match(~confirmed, rest, by_overlap, self.unconfirmed_cost_limit)

        lost = self._retire(was_lost)
        seen = tracks.tracked & tracks.confirmed  # those not seen a second time end
        live = tracks[seen & ~was_lost] + self._start(rest) + tracks[seen & was_lost]
        self._tracks = self._without_duplicates(live, lost)

    @property
    def lowest_score(self) -> float:
        """Detections that do not score higher are ignored."""
        lowest = self.low_score_thr
        return self.obj_score_thr if lowest is None else lowest

    def _count_dropped(self, dropped: int) -> None:
        if dropped and not self.num_dropped:
            MMLogger.get_current_instance().warning(
                f"frame {self._frame:g} of the video: {dropped} detections cannot be "
                "tracked (not finite, too large or without height) and are dropped; "
                "more of them are counted in num_dropped"
            )
        self.num_dropped += dropped

    def _split(self, found: Detections) -> tuple[Detections, Detections]:
        """Detections of high score, and of low score if those count."""
        high = found.scores > self.obj_score_thr
        detections, low_score = found[high], found[~high]
        # They are neither matched by embedding nor update one.
        low_score.embeddings = low_score.embeddings[:, :0]
        self._check_embeddings(detections)
        return detections, low_score

    def _check_embeddings(self, detections: Detections) -> None:
        """Embeddings keep their length for as long as there are tracks."""
        tracks = self._tracks
        if len(tracks) == 0:
            tracks.embeddings = detections.embeddings[:0]
        elif len(detections) == 0:
            detections.embeddings = tracks.embeddings[:0]
        given, length = detections.embeddings.shape[1], tracks.embeddings.shape[1]
        if given != length:
            raise ValueError(
                f"embeddings of length {given} came in, those of this video so far "
                f"have {length}: call reset() before a new video"
            )

    def _predict(self, elapsed: float, camera_motion: np.ndarray | None) -> None:
        """Move the tracks on in time, then along with the camera."""
        tracks = self._tracks
        tracks.means[~tracks.tracked, 7] = 0  # a lost track's height stays as it is
        moving = tracks.confirmed  # tracks seen only once have no velocity yet
        tracks.means[moving], tracks.covariances[moving] = self.kalman_filter.predict(
            tracks.means[moving], tracks.covariances[moving], elapsed
        )
        if camera_motion is not None:
            tracks.means, tracks.covariances = warp_states(
                tracks.means, tracks.covariances, camera_motion
            )

    def _match(
        self, candidates: np.ndarray, detections: Detections, costs: Costs, limit: float
    ) -> Detections:
        """One round: correct the candidates that match, return unmatched detections."""
        tracks = self._tracks
        chosen = np.flatnonzero(candidates & (tracks.last_frame < self._frame))
        if len(chosen) == 0 or len(detections) == 0:
            return detections
        pairs = costs(chosen, detections)
        pairs[tracks.labels[chosen][:, None] != detections.labels] = np.inf
        rows, columns = assign(pairs, limit)
        self._correct(chosen[rows], detections[columns])
        return detections[np.delete(np.arange(len(detections)), columns)]

    def _fused_costs(self, chosen: np.ndarray, detections: Detections) -> np.ndarray:
        """Embedding and Mahalanobis distance (FairMOT, section 3.4), gated."""
        tracks, weight = self._tracks, self.embedding_weight
        rows, columns, motion = self.kalman_filter.gated_pairs(
            tracks.means[chosen], tracks.covariances[chosen], detections.measurements
        )
        appearance = cosine_distance(
            tracks.embeddings[chosen[rows]], detections.embeddings[columns]
        )
        costs = np.full((len(chosen), len(detections)), np.inf)
        costs[rows, columns] = weight * appearance + (1 - weight) * motion
        return costs

    def _iou_costs(self, chosen: np.ndarray, detections: Detections) -> np.ndarray:
        return 1 - box_iou(self._tracks.boxes[chosen], detections.boxes)

    def _correct(self, matched: np.ndarray, detections: Detections) -> None:
        """Correct the matched tracks, each by its detection."""
        tracks = self._tracks
        tracks.means[matched], tracks.covariances[matched] = self.kalman_filter.update(
            tracks.means[matched],
            tracks.covariances[matched],
            detections.measurements,
            detections.scores,
        )
        if detections.embeddings.shape[1]:
            past = self.embedding_momentum * tracks.embeddings[matched]
            tracks.embeddings[matched] = normalised(
                past + (1 - self.embedding_momentum) * detections.embeddings
            )
        # As in the reference implementation, a track found again keeps its old score
        # for this frame.
        seen = tracks.tracked[matched]
        tracks.scores[matched[seen]] = detections.scores[seen]
        tracks.last_frame[matched] = self._frame
        tracks.tracked[matched] = tracks.confirmed[matched] = True

    def _retire(self, was_lost: np.ndarray) -> Tracks:
        """Drop lost tracks whose time is over; return those that are kept.

        As in the reference implementation, a track is dropped one frame after its time
        is over: until then it can be found again, and one that is found then is dropped
        as soon as it is lost once more.
        """
        tracks = self._tracks
        absent = tracks.confirmed & (tracks.last_frame < self._frame)
        lost = np.flatnonzero(absent & was_lost)
        missing = np.flatnonzero(absent & ~was_lost)
        tracks.tracked[missing] = False
        kept = np.concatenate((lost, missing))
        kept = kept[~tracks.expired[kept]]
        age = self._frame - tracks.last_frame[lost]
        tracks.expired[lost[age > self.max_frames_lost]] = True
        return tracks[kept]

    def _start(self, detections: Detections) -> Tracks:
        """New tracks of the detections, confirmed at once only on the first frame."""
        means, covariances = self.kalman_filter.initiate(detections.measurements)
        count = len(detections)
        self._next_id += count
        return Tracks(
            ids=np.arange(self._next_id - count, self._next_id),
            labels=detections.labels,
            scores=detections.scores,
            means=means,
            covariances=covariances,
            embeddings=detections.embeddings,
            first_frame=np.full(count, self._frame),
            last_frame=np.full(count, self._frame),
            tracked=np.ones(count, bool),
            confirmed=np.full(count, self._frame == 1),
            expired=np.zeros(count, bool),
        )

    def _without_duplicates(self, live: Tracks, lost: Tracks) -> Tracks:
        """Join tracked and lost tracks; of two on one object, the older one stays."""
        overlap = box_iou(live.boxes, lost.boxes)
        # Compared as a distance: 1 - 0.85 and 0.15 differ in the last digit.
        same = 1 - overlap < round(1 - self.duplicate_iou, 12)
        same &= live.labels[:, None] == lost.labels
        age_live, age_lost = (t.last_frame - t.first_frame for t in (live, lost))
        older = age_live[:, None] > age_lost
        return live[~(same & ~older).any(1)] + lost[~(same & older).any(0)]

    def shown_tracks(self) -> Tracks:
        """The tracks confirmed on this frame, without hidden boxes."""
        tracks = self._tracks[self._tracks.tracked & self._tracks.confirmed]
        boxes = tracks.boxes
        width, height = (boxes[:, 2:] - boxes[:, :2]).T
        shown = np.ones(len(tracks), bool)
        if self.min_box_area > 0:
            shown &= width * height > self.min_box_area
        if self.max_aspect_ratio is not None:
            shown &= ~(width / height > self.max_aspect_ratio)
        return tracks[shown]

    def _output(self, device: torch.device | str) -> InstanceData:
        tracks = self.shown_tracks()
        found = InstanceData(
            bboxes=torch.from_numpy(tracks.boxes).float().to(device),
            scores=torch.from_numpy(tracks.scores).float().to(device),
            labels=torch.from_numpy(tracks.labels).long().to(device),
            instances_id=torch.from_numpy(tracks.ids).long().to(device),
        )
        if self.output_embeddings:
            found.embeddings = torch.from_numpy(tracks.embeddings).float().to(device)
        return found
