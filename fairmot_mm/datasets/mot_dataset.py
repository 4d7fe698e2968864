import logging
import os
import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from mmdet.datasets import BaseVideoDataset
from mmengine.logging import print_log

from fairmot_mm.registry import DATASETS

from .faults import as_fault, collecting, report, report_rows
from .frame_dataset import FrameDataset
from .frame_records import Boxes, FrameRecords, RecordsBuilder
from .mot_folder import (
    PEDESTRIAN,
    MOTAnnotations,
    MOTSequence,
    evaluated_pedestrians,
    find_sequences,
    line_of_key,
    read_gt,
)
from .sources.common import class_table

# Class column of MOT16 and later (Milan et al., arXiv:1603.00831, table 3).
MOT_CLASSES = (
    "pedestrian",
    "person_on_vehicle",
    "car",
    "bicycle",
    "motorbike",
    "non_motorised_vehicle",
    "static_person",
    "distractor",
    "occluder",
    "occluder_on_ground",
    "occluder_full",
    "reflection",
    "crowd",
)


def half_range(sequence: MOTSequence, half: str | None) -> tuple[int, int]:
    """First and last frame of a half of a sequence, from 1, both included.

    Args:
        sequence (MOTSequence): The sequence.
        half (str | None): ``first``, ``second``, or None for all of it. The first half
            is the shorter one, as in the published split.

    Raises:
        ValueError: If ``half`` is something else, or the half is empty.
    """
    length = sequence.length
    ranges = {
        None: (1, length),
        "first": (1, length // 2),
        "second": (length // 2 + 1, length),
    }
    if half not in ranges:
        raise ValueError(f"{half=}: choose 'first', 'second' or None")
    first, last = ranges[half]
    if last < first:
        raise ValueError(
            f"{sequence.root}: the {half} half of its seqLength of {length} is empty"
        )
    return first, last


def _check_images(sequence: MOTSequence, frames: range) -> None:
    """Name the first image that is missing, before hours of training find it."""
    folder = sequence.root / sequence.image_dir
    if not folder.is_dir():
        raise FileNotFoundError(
            f"no image folder {folder}, named by imDir in seqinfo.ini"
        )
    present = set(os.listdir(folder))
    missing = [f for f in frames if sequence.image_path(f).name not in present]
    if collecting():
        # The missing ones are reported one by one, later on.
        _report_extra_images(sequence, present)
    elif missing:
        raise FileNotFoundError(
            f"{sequence.image_path(missing[0])} is missing, and {len(missing) - 1} "
            f"more of {len(frames)} frames: correct seqLength or imExt in seqinfo.ini, "
            "or restore the images"
        )


def _report_extra_images(sequence: MOTSequence, present: set[str]) -> None:
    known = {sequence.image_path(i + 1).name for i in range(sequence.length)}
    extra = [n for n in present - known if n.endswith(sequence.extension)]
    if extra:
        path = sequence.root / "seqinfo.ini"
        text = (
            f"seqLength is {sequence.length}, but {sequence.image_dir} has "
            f"{len(extra)} images more, such as {min(extra)}"
        )
        report("size mismatch", path, line_of_key(path, "seqLength"), text)


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
            first, last = half_range(sequence, self.half)
            frames = range(first, last + 1)
            with as_fault("unreadable file", sequence.gt_path):
                _check_images(sequence, frames)
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


@DATASETS.register_module()
class MOTVideoDataset(BaseVideoDataset):
    """Videos of MOTChallenge sequences, frame by frame, for tracking.

    Only images and ``seqinfo.ini`` are read; ground truth, where there is any, is the
    metric's. Use with :class:`VideoSampler`.

    Args:
        data_root (str): Folder of sequences, or one sequence.
        sequences (Sequence[str] | None): Names of the sequences; all if None.
        detector (str | None): Takes only sequences whose name ends with it.
        half (str | None): ``first`` or ``second`` half of each sequence.
        metainfo (dict | None): ``classes``, the names of the model's labels.
        **kwargs: For :class:`mmdet.datasets.BaseVideoDataset`.

    Raises:
        FileNotFoundError: If the folder, a sequence or an image is missing.
        ValueError: If a ``seqinfo.ini`` is malformed or no sequence is found.
    """

    METAINFO = dict(classes=("pedestrian",))  # noqa: RUF012

    def __init__(
        self,
        data_root: str,
        sequences: Sequence[str] | None = None,
        detector: str | None = None,
        half: str | None = None,
        metainfo: dict | None = None,
        **kwargs,
    ) -> None:
        self.sequences = sequences
        self.detector = detector
        self.half = half
        super().__init__(
            data_root=data_root, metainfo=metainfo, test_mode=True, **kwargs
        )

    def load_data_list(self) -> list[dict]:
        """One record per video with its ``images``."""
        videos, num_images = [], 0
        found = find_sequences(self.data_root, self.sequences, self.detector)
        for video_id, sequence in enumerate(found):
            first, last = half_range(sequence, self.half)
            frames = range(first, last + 1)
            _check_images(sequence, frames)
            images = [
                dict(
                    img_path=str(sequence.image_path(frame)),
                    img_id=num_images + i,
                    frame_id=i,
                    frame_number=frame,
                    frame_rate=sequence.frame_rate,
                    frame_range=(first, last),
                    sequence_name=sequence.name,
                    sequence_root=str(Path(sequence.root)),
                )
                for i, frame in enumerate(frames)
            ]
            num_images += len(images)
            videos.append(
                dict(video_id=video_id, images=images, video_length=len(images))
            )
        print_log(
            f"{self.data_root}: {len(videos)} sequences, {num_images} images to track",
            logger="current",
        )
        return videos
