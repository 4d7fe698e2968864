from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
from mmdet.datasets import BaseVideoDataset
from mmengine.logging import print_log

from fairmot_mm.formats.boxes import xywh_to_xyxy
from fairmot_mm.formats.images import report_missing_images
from fairmot_mm.formats.mot import (
    DISTRACTORS,
    MOT_CLASSES,
    MOTSequence,
    evaluated_pedestrians,
    find_sequences,
    read_gt,
    split_range,
)
from fairmot_mm.registry import DATASETS

from .annotated_video_dataset import AnnotatedFrames
from .frame_records import NO_IDENTITY


@DATASETS.register_module()
class MOTVideoDataset(BaseVideoDataset):
    """Videos of MOTChallenge sequences, frame by frame, for tracking.

    Only images and ``seqinfo.ini`` are read: :class:`MOTMetric` reads the ground truth
    itself, where there is any. Use with :class:`VideoSampler`.

    Args:
        data_root: Folder of sequences, or one sequence.
        sequences: Names of the sequences; all if None.
        detector: Takes only sequences whose name ends with it.
        half: ``first`` or ``second`` half of each sequence.
        input_size: Width and height of the network input, which ``Letterbox`` reads
            from the record.
        with_ground_truth: Put the ground truth into the samples, as
            :class:`AnnotatedVideoDataset` does, for metrics of detections and
            embeddings: considered pedestrians, and as ignored what the benchmark
            neither rewards nor punishes (static persons, reflections, ...).
        metainfo: ``classes``, the names of the model's labels.
        **kwargs: For :class:`mmdet.datasets.BaseVideoDataset`.

    Raises:
        FileNotFoundError: The folder, a sequence, an image or the ground truth that is
            asked for is missing.
        ValueError: A ``seqinfo.ini`` is malformed, no sequence is found, or
            ``with_ground_truth`` without a class ``pedestrian``.
    """

    METAINFO: ClassVar[dict] = dict(classes=("pedestrian",))

    def __init__(
        self,
        data_root: str,
        sequences: Sequence[str] | None = None,
        detector: str | None = None,
        half: str | None = None,
        input_size: tuple[int, int] | None = None,
        with_ground_truth: bool = False,
        metainfo: dict | None = None,
        **kwargs: Any,
    ) -> None:
        self.sequences = sequences
        self.detector = detector
        self.half = half
        self.with_ground_truth = with_ground_truth
        self._settings = {} if input_size is None else dict(input_size=input_size)
        super().__init__(
            data_root=data_root, metainfo=metainfo, test_mode=True, **kwargs
        )

    def load_data_list(self) -> list[dict]:
        """One record per video with its ``images``."""
        videos, num_images, num_ids = [], 0, 0
        found = find_sequences(self.data_root, self.sequences, self.detector)
        for video_id, sequence in enumerate(found):
            first, last = split_range(sequence, self.half)
            frames = range(first, last + 1)
            paths = [str(sequence.image_path(frame)) for frame in frames]
            report_missing_images(paths, sequence.root)
            images = [
                dict(
                    img_path=paths[i],
                    img_id=num_images + i,
                    frame_id=i,
                    frame_number=frame,
                    frame_rate=sequence.frame_rate,
                    frame_range=(first, last),
                    sequence_name=sequence.name,
                    sequence_root=str(sequence.root),
                    **self._settings,
                )
                for i, frame in enumerate(frames)
            ]
            num_images += len(images)
            video = dict(video_id=video_id, images=images, video_length=len(images))
            if self.with_ground_truth:
                annotated = self._annotated(sequence, images, num_ids)
                num_ids = max(num_ids, annotated.identities.max(initial=-1) + 1)
                video["images"] = annotated
            videos.append(video)
        print_log(
            f"{self.data_root}: {len(videos)} sequences, {num_images} images to track",
            logger="current",
        )
        return videos

    def _annotated(
        self, sequence: MOTSequence, images: list[dict], first_id: int
    ) -> AnnotatedFrames:
        """The records of a sequence with its ground truth, identities renumbered."""
        if MOT_CLASSES[0] not in self.metainfo["classes"]:
            raise ValueError(
                f"with_ground_truth: no {MOT_CLASSES[0]} in metainfo.classes "
                f"{self.metainfo['classes']}, the class of MOTChallenge's ground truth"
            )
        lines = read_gt(sequence)
        scored = evaluated_pedestrians(lines)
        kept = scored | np.isin(lines.classes, DISTRACTORS)
        lines, scored = lines.select(kept), scored[kept]
        first = images[0]["frame_number"]
        identities = first_id + np.unique(lines.ids, return_inverse=True)[1]
        label = self.metainfo["classes"].index(MOT_CLASSES[0])
        return AnnotatedFrames(
            images,
            starts=np.searchsorted(lines.frames, first + np.arange(len(images) + 1)),
            boxes=xywh_to_xyxy(lines.boxes),
            labels=np.full(len(lines), label),
            identities=np.where(scored, identities, NO_IDENTITY),
            ignored=~scored,
        )
