from typing import Any

from mmdet.models.mot import BaseMOTModel
from mmdet.structures import TrackDataSample
from mmengine.structures import BaseDataElement, InstanceData
from torch import Tensor

from ..trackers import JDETracker

NO_TRACKER = "the model was built without a tracker: set model.tracker"


class OnlineMOT(BaseMOTModel):
    """A model that detects and embeds frame by frame, and its online tracker.

    Attributes:
        tracker: Ours or one of the toolboxes'; None tracks nothing.
        min_score: Peaks that score no higher are left out, before they are embedded.
            What tracks alone sets it to the tracker's threshold; metrics and dumps of
            detections want them all.
    """

    tracker: JDETracker | None
    min_score: float = 0.0

    def predict_frame(
        self,
        inputs: Tensor,
        metas: dict | list[dict],
        gt_instances: InstanceData | None = None,
    ) -> Any:  # noqa: ANN401  (one result of one frame, a list of several)
        """Detect and embed the objects of a frame, or of N at once.

        Args:
            inputs: (N, 3, H, W) or (3, H, W), what the data preprocessor gives.
            metas: The frames' metas, of one as such or as a list: ``ori_shape``, the
                (height, width) of the original image.
            gt_instances: True boxes of one frame to be embedded, ``bboxes`` (n, 4) xyxy
                in pixels of the original image. Gains ``embeddings`` (n, D) of length
                1, read from the cells that training reads; 0 where the centre is
                outside the image.

        Returns:
            ``InstanceData``, best first: ``bboxes`` (K, 4) xyxy in pixels of the
            original image, ``scores`` (K,), ``labels`` (K,), ``embeddings`` (K, D) of
            length 1. Of more than one frame a list of them.

        Raises:
            ValueError: If there are not as many metas as frames.
        """
        inputs = inputs[None] if inputs.dim() == 3 else inputs
        metas = [metas] if isinstance(metas, dict) else metas
        truth = None if gt_instances is None else [gt_instances]
        if len(inputs) != len(metas) or (truth and len(truth) != len(inputs)):
            raise ValueError(
                f"{len(inputs)} images came in with {len(metas)} metas"
                + ("" if truth is None else " and the true boxes of one")
            )
        found = self.predict_frames(inputs, metas, truth)
        return found[0] if len(found) == 1 else found

    def predict_frames(
        self,
        inputs: Tensor,
        metas: list[dict],
        truth: list[InstanceData] | None = None,
    ) -> list[InstanceData]:
        """:meth:`predict_frame` of N frames, each with a meta, perhaps true boxes."""
        raise NotImplementedError

    def predict(
        self, inputs: Tensor, data_samples: list[TrackDataSample]
    ) -> list[TrackDataSample]:
        """Track the next frames of a video.

        Args:
            inputs: (1, T, 3, H, W), what the data preprocessor gives.
            data_samples: One sample of T frames, in order; a ``frame_id`` of 0 starts a
                new video.

        Returns:
            The sample, each frame with ``pred_instances`` (what was detected, see
            :meth:`predict_frame`) and ``pred_track_instances`` (``bboxes``, ``scores``,
            ``labels``, ``instances_id``).
        """
        if inputs.dim() != 5 or len(inputs) != 1 or len(data_samples) != 1:
            raise ValueError(
                f"inputs of shape {tuple(inputs.shape)} with {len(data_samples)} "
                "samples: a tracker follows one video at a time, expected "
                "(1, T, 3, H, W) and one TrackDataSample"
            )
        for image, frame in zip(inputs[0], data_samples[0], strict=True):
            self.track_frame(image[None], frame)
        return data_samples

    def track_frame(self, inputs: Tensor, frame: BaseDataElement) -> None:
        """Detect on the next frame of a video and track.

        Args:
            inputs: (1, 3, H, W), what the data preprocessor gives.
            frame: The frame's sample with its metas. Gains ``pred_instances``, which is
                ``pred_det_instances`` as well, and ``pred_track_instances``; its
                ``gt_instances``, if any, gain ``embeddings``.

        Raises:
            RuntimeError: If the model has no tracker.
        """
        if self.tracker is None:
            raise RuntimeError(NO_TRACKER)
        # Packed without ground truth, the instances have no boxes.
        truth = frame.get("gt_instances", {})
        known = dict(gt_instances=truth) if "bboxes" in truth else {}
        found = self.predict_frame(inputs, frame.metainfo, **known)
        self.track_detections(inputs, frame, found)

    def track_detections(
        self, inputs: Tensor, frame: BaseDataElement, found: InstanceData
    ) -> None:
        """The part of :meth:`track_frame` after the network."""
        if self.tracker is None:
            raise RuntimeError(NO_TRACKER)
        frame.pred_instances = found
        # The name that MMTracking's trackers read.
        frame.pred_det_instances = frame.pred_instances
        frame.pred_track_instances = self.tracker.track(
            model=self,
            img=inputs,
            feats=None,
            data_sample=frame,
            data_preprocessor=self.data_preprocessor,
            rescale=True,
        )
