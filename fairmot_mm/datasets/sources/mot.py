import logging
import re
from collections import Counter, defaultdict
from collections.abc import Sequence

import numpy as np
from mmengine.logging import print_log

from fairmot_mm.formats.annotation_errors import as_fault, report_rows
from fairmot_mm.formats.mot import (
    MOT_CLASSES,
    PEDESTRIAN,
    MOTAnnotations,
    MOTSequence,
    check_images,
    evaluated_pedestrians,
    find_sequences,
    read_gt,
    split_range,
)
from fairmot_mm.registry import DATASETS

from ..frame_dataset import FrameDataset
from ..frame_records import Boxes, FrameRecords, RecordsBuilder
from .common import class_table


@DATASETS.register_module()
class MOTFrameDataset(FrameDataset):
    """Frames of MOTChallenge sequences with boxes and identities, for training.

    Reads the folders as the benchmark ships them (``SEQ/seqinfo.ini``, ``SEQ/img1``,
    ``SEQ/gt/gt.txt`` of MOT15, 16, 17 or 20, and DanceTrack). Taken are the lines that
    the benchmark marks for evaluation, of the classes asked for. Identities are
    numbered from 0 over all sequences. A frame without boxes is trained on too.

    Args:
        data_root (str): Folder of sequences, or one sequence.
        sequences (Sequence[str] | None): Names of the sequences; all if None.
        detector (str | None): Takes only sequences whose name ends with it, so that
            MOT17's triplicates count once.
        half (str | None): ``first`` or ``second`` half of each sequence.
        min_visibility (float): Boxes less visible are left out.
        clip (bool): Cut boxes to the image, as MOT20 has them.
        metainfo (dict | None): ``classes`` are the classes to learn, in the order of
            their labels.
        **kwargs: For :class:`FrameDataset`, ``pipeline`` above all.

    Raises:
        FileNotFoundError: If the folder, a sequence or an image is missing.
        ValueError: If a file is malformed, a class is unknown, or no box is left.
    """

    def __init__(
        self,
        data_root: str,
        sequences: Sequence[str] | None = None,
        detector: str | None = None,
        half: str | None = None,
        min_visibility: float = 0.0,
        clip: bool = False,
        metainfo: dict | None = None,
        **kwargs,
    ) -> None:
        self.sequences = sequences
        self.detector = detector
        self.half = half
        self.min_visibility = min_visibility
        self.clip = clip
        super().__init__(data_root=data_root, metainfo=metainfo, **kwargs)

    def load_records(self) -> FrameRecords:
        """Read the ground truth of all sequences."""
        table = class_table(self._classes, MOT_CLASSES)
        builder, read = RecordsBuilder(), 0
        sequences = find_sequences(self.data_root, self.sequences, self.detector)
        _warn_of_triplicates(sequences)
        for sequence in sequences:
            first, last = split_range(sequence, self.half)
            frames = range(first, last + 1)
            with as_fault("unreadable file", sequence.gt_path):
                check_images(sequence, frames)
                lines = read_gt(sequence)
                read += len(lines)
                lines, labels = self._chosen(sequence, frames, lines, table)
                self._add(builder, sequence, frames, lines, labels)
        records = builder.finish()
        if not len(records.boxes):
            raise ValueError(
                f"empty ground truth: none of the {read} lines of "
                f"{len(sequences)} sequences in {self.data_root} is marked for "
                f"evaluation and of the classes {self.metainfo['classes']}"
            )
        return records

    def _chosen(
        self,
        sequence: MOTSequence,
        frames: range,
        lines: MOTAnnotations,
        table: np.ndarray,
    ) -> tuple[MOTAnnotations, np.ndarray]:
        """The lines to train on and their labels; what is left out is counted."""
        labels = self._labels(sequence, lines, table)
        inside = (lines.frames >= frames[0]) & (lines.frames <= frames[-1])
        hidden = lines.visibility < self.min_visibility
        reasons = {
            "in the other half": ~inside,
            "marked 0 or of other classes": labels < 0,
            "little visible": hidden,
        }
        return _sift(reasons, self.left_out, lines, labels)

    @staticmethod
    def _labels(
        sequence: MOTSequence, lines: MOTAnnotations, table: np.ndarray
    ) -> np.ndarray:
        """Label of each line, -1 for what is not trained on."""
        labels = np.full(len(lines), -1)
        if lines.is_mot15:
            # This format knows pedestrians alone.
            labels[evaluated_pedestrians(lines)] = table[PEDESTRIAN]
            return labels
        marked = lines.marks != 0
        unknown = marked & ((lines.classes < 1) | (lines.classes > len(MOT_CLASSES)))
        report_rows(
            "unknown class",
            sequence.gt_path,
            lines.lines,
            unknown,
            lambda i: (
                f"unknown class {lines.classes[i]}, expected 1 to {len(MOT_CLASSES)}"
            ),
        )
        known = marked & ~unknown
        labels[known] = table[lines.classes[known]]
        return labels

    def _add(
        self,
        builder: RecordsBuilder,
        sequence: MOTSequence,
        frames: range,
        lines: MOTAnnotations,
        labels: np.ndarray,
    ) -> None:
        """Add a sequence; lines come sorted by frame."""
        boxes = lines.boxes.copy()
        boxes[:, 2:] += boxes[:, :2]
        size = sequence.width, sequence.height
        if self.clip:
            boxes = boxes.clip(0, np.tile(size, 2))
            outside = (boxes[:, :2] >= boxes[:, 2:]).any(1)
            reasons = {"outside the image": outside}
            lines, labels = _sift(reasons, self.left_out, lines, labels)
            boxes = boxes[~outside]
        builder.add(
            [str(sequence.image_path(frame)) for frame in frames],
            Boxes(
                counts=np.bincount(lines.frames - frames[0], minlength=len(frames)),
                boxes=boxes,
                labels=labels,
                identities=lines.ids,
                lines=lines.lines,
            ),
            str(sequence.gt_path),
            size,
        )


def _sift(
    reasons: dict[str, np.ndarray],
    left_out: Counter[str],
    lines: MOTAnnotations,
    labels: np.ndarray,
) -> tuple[MOTAnnotations, np.ndarray]:
    """Leave lines out for the first reason that applies, and count them by it."""
    kept = np.ones(len(lines), bool)
    for reason, applies in reasons.items():
        left_out[reason] += int((kept & applies).sum())
        kept &= ~applies
    return lines.select(kept), labels[kept]


def _warn_of_triplicates(sequences: Sequence[MOTSequence]) -> None:
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
