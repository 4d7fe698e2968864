import logging
import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from mmengine.logging import print_log

from fairmot_mm.formats import mot
from fairmot_mm.formats.annotation_errors import ErrorSink, unreadable_file
from fairmot_mm.formats.boxes import xywh_to_xyxy
from fairmot_mm.registry import DATASETS

from ..annotated_sequence import AnnotatedSequence, BoxTable
from ..frame_dataset import FrameDataset


@DATASETS.register_module()
class MOTFrameDataset(FrameDataset):
    """Frames of MOTChallenge sequences with boxes and identities, for training.

    Reads the folders as the benchmark ships them (``SEQ/seqinfo.ini``, ``SEQ/img1``,
    ``SEQ/gt/gt.txt`` of MOT15, 16, 17 or 20, and DanceTrack). Lines that the benchmark
    does not mark for evaluation are left out.

    Args:
        data_root: Folder of sequences, or one sequence.
        sequences: Names of the sequences; all if None.
        detector: Takes only sequences whose name ends with it, so that each of MOT17's
            sequences, which come once per detector, is read once.
        half: ``first`` or ``second`` half of each sequence.
        min_visibility: Boxes less visible are left out.
        clip: Clip boxes to the image, as MOT20's are.
    """

    def __init__(
        self,
        data_root: str,
        sequences: Sequence[str] | None = None,
        detector: str | None = None,
        half: str | None = None,
        min_visibility: float = 0.0,
        clip: bool = False,
        **kwargs: Any,
    ) -> None:
        self.sequences = sequences
        self.detector = detector
        self.half = half
        self.min_visibility = min_visibility
        self.clip = clip
        super().__init__(data_root=data_root, **kwargs)

    def read_sequences(self, errors: ErrorSink) -> Iterator[AnnotatedSequence]:
        """Read the sequences."""
        sequences = mot.find_sequences(self.data_root, self.sequences, self.detector)
        _warn_of_triplicates(sequences)
        for sequence in sequences:
            with unreadable_file(sequence.gt_path, errors):
                first, last = mot.split_range(sequence, self.half)
                numbers = np.arange(first, last + 1)
                yield AnnotatedSequence(
                    str(sequence.gt_path),
                    [str(sequence.image_path(i)) for i in numbers.tolist()],
                    self._boxes(sequence, mot.read_gt(sequence, errors), numbers),
                    dict(enumerate(mot.MOT_CLASSES, 1)),
                    errors,
                    name=sequence.name,
                    numbers=numbers,
                    sizes=(sequence.width, sequence.height),
                )

    def _boxes(
        self, sequence: mot.MOTSequence, lines: mot.MOTAnnotations, numbers: np.ndarray
    ) -> BoxTable:
        reasons = {
            "in the other half": ~np.isin(lines.frames, numbers),
            "marked 0": lines.marks == 0,
            "little visible": lines.visibility < self.min_visibility,
        }
        lines = lines.select(self.leave_out(reasons))
        # MOT15 knows pedestrians alone.
        classes = np.where(lines.classes == mot.NO_CLASS, mot.PEDESTRIAN, lines.classes)
        corners = xywh_to_xyxy(lines.boxes)
        if self.clip:
            corners = corners.clip(0, (sequence.width, sequence.height) * 2)
        boxes = BoxTable(lines.frames, corners, classes, lines.ids, lines.lines)
        if self.clip:
            outside = np.any(corners[:, :2] >= corners[:, 2:], axis=1)
            boxes = boxes.select(self.leave_out({"outside the image": outside}))
        return boxes


def _warn_of_triplicates(sequences: Sequence[mot.MOTSequence]) -> None:
    """MOT17 ships each sequence once per public detector."""
    detectors: dict[str, list[str]] = defaultdict(list)
    for sequence in sequences:
        if match := re.fullmatch(r"(MOT17-\d+)-(\w+)", sequence.name):
            detectors[match[1]].append(match[2])
    for name, found in detectors.items():
        if len(found) > 1:
            print_log(
                f"{name} is read {len(found)} times ({', '.join(found)}), and its "
                f"people count as many times: set detector={found[-1]!r}",
                logger="current",
                level=logging.WARNING,
            )
            return
