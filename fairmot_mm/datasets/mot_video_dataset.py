from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from fairmot_mm.formats import mot
from fairmot_mm.formats.annotation_errors import raise_error
from fairmot_mm.formats.boxes import xywh_to_xyxy
from fairmot_mm.formats.images import report_missing_images
from fairmot_mm.registry import DATASETS

from .annotated_sequence import AnnotatedSequence, BoxTable
from .frame_records import FrameRecords, join_records
from .video_dataset import FrameVideoDataset


@DATASETS.register_module()
class MOTVideoDataset(FrameVideoDataset):
    """Videos of MOTChallenge sequences, frame by frame, for tracking.

    Only images and ``seqinfo.ini`` are read: :class:`MOTMetric` reads the ground truth
    itself, where there is any. Use with :class:`VideoSampler`.

    Args:
        data_root: Folder of sequences, or one sequence.
        sequences: Names of the sequences; all if None.
        detector: Takes only sequences whose name ends with it.
        half: ``first`` or ``second`` half of each sequence.
        with_ground_truth: Put the ground truth into the samples, as
            :class:`AnnotatedVideoDataset` does, for metrics of detections and
            embeddings: considered pedestrians, and as ignored what the benchmark
            neither rewards nor punishes (static persons, reflections, ...).
        **kwargs: ``metainfo`` with ``classes``, the names of the model's labels;
            ``input_size``, see :class:`FrameVideoDataset`.

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
        with_ground_truth: bool = False,
        **kwargs: Any,
    ) -> None:
        self.sequences = sequences
        self.detector = detector
        self.half = half
        self.with_ground_truth = with_ground_truth
        super().__init__(data_root=data_root, **kwargs)

    def load_data_list(self) -> list[dict]:
        """One record per video."""
        sequences = mot.find_sequences(self.data_root, self.sequences, self.detector)
        records = join_records([self._read(sequence) for sequence in sequences])
        metas = (
            dict(
                sequence_name=sequence.name,
                sequence_root=str(sequence.root),
                frame_rate=sequence.frame_rate,
                frame_range=mot.split_range(sequence, self.half),
            )
            for sequence in sequences
        )
        return self.list_videos(self.data_root, records, metas, self.with_ground_truth)

    def _read(self, sequence: mot.MOTSequence) -> FrameRecords:
        first, last = mot.split_range(sequence, self.half)
        frames = np.arange(first, last + 1)
        images = [str(sequence.image_path(frame)) for frame in frames.tolist()]
        report_missing_images(images, sequence.root)
        names = {name: name for name in self.metainfo["classes"]}
        boxes = BoxTable.of_rows([])
        if self.with_ground_truth:
            if mot.MOT_CLASSES[0] not in names:
                raise ValueError(
                    f"with_ground_truth: no {mot.MOT_CLASSES[0]} in metainfo.classes "
                    f"{tuple(names)}, the class of MOTChallenge's ground truth"
                )
            boxes = _scored_boxes(sequence, frames)
        annotated = AnnotatedSequence(
            str(sequence.gt_path), images, boxes, names, raise_error, numbers=frames
        )
        return annotated.to_records(tuple(names), lambda _: np.ones(len(boxes), bool))


def _scored_boxes(sequence: mot.MOTSequence, frames: np.ndarray) -> BoxTable:
    """Pedestrians, and as ignored the distractors."""
    lines = mot.read_gt(sequence)
    scored = mot.evaluated_pedestrians(lines)
    kept = scored | np.isin(lines.classes, mot.DISTRACTORS)
    kept &= np.isin(lines.frames, frames)
    lines, scored = lines.select(kept), scored[kept]
    classes = np.full(len(lines), mot.MOT_CLASSES[0])
    corners = xywh_to_xyxy(lines.boxes)
    return BoxTable(lines.frames, corners, classes, lines.ids, lines.lines, ~scored)
