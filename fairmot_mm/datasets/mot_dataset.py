import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from mmdet.datasets import BaseVideoDataset
from mmdet.structures.bbox import HorizontalBoxes
from mmengine.dataset import BaseDataset
from mmengine.logging import print_log

from fairmot_mm.registry import DATASETS

from .mot_folder import (
    MOTAnnotations,
    MOTSequence,
    evaluated_pedestrians,
    find_sequences,
    read_gt,
)

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
    if missing:
        raise FileNotFoundError(
            f"{sequence.image_path(missing[0])} is missing, and {len(missing) - 1} "
            f"more of {len(frames)} frames: correct seqLength or imExt in seqinfo.ini, "
            "or restore the images"
        )


@DATASETS.register_module()
class MOTFrameDataset(BaseDataset):
    """Frames of MOTChallenge sequences with boxes and identities, for training.

    Reads the folders as the benchmark ships them (``SEQ/seqinfo.ini``, ``SEQ/img1``,
    ``SEQ/gt/gt.txt`` of MOT15, 16, 17 or 20). Taken are the lines that the benchmark
    marks for evaluation, of the classes asked for. Identities are numbered from 0 over
    all sequences; ``num_ids`` is their number. A frame without boxes is trained on too.

    Args:
        data_root (str): Folder of sequences, or one sequence.
        sequences (Sequence[str] | None): Names of the sequences; all if None.
        detector (str | None): Takes only sequences whose name ends with it, so that
            MOT17's triplicates count once.
        half (str | None): ``first`` or ``second`` half of each sequence.
        min_visibility (float): Boxes less visible are left out.
        identities_per_class (bool): Whether identities are numbered from 0 in each
            class, for an identity classifier per class; ``num_ids`` is then a list.
        metainfo (dict | None): ``classes`` are the classes to learn, in the order of
            their labels.
        **kwargs: For :class:`mmengine.dataset.BaseDataset`, ``pipeline`` above all.

    Raises:
        FileNotFoundError: If the folder, a sequence or an image is missing.
        ValueError: If a file is malformed, a class is unknown, or no box is left.
    """

    METAINFO = dict(classes=("pedestrian",))  # noqa: RUF012

    def __init__(
        self,
        data_root: str,
        sequences: Sequence[str] | None = None,
        detector: str | None = None,
        half: str | None = None,
        min_visibility: float = 0.0,
        identities_per_class: bool = False,
        metainfo: dict | None = None,
        **kwargs,
    ) -> None:
        self.sequences = sequences
        self.detector = detector
        self.half = half
        self.min_visibility = min_visibility
        self.identities_per_class = identities_per_class
        self.num_ids: int | list[int] = 0
        super().__init__(data_root=data_root, metainfo=metainfo, **kwargs)

    def load_data_list(self) -> list[dict]:
        """Read all annotations into one record per frame."""
        class_ids = self._class_ids()
        if self.identities_per_class:
            self.num_ids = [0] * len(class_ids)
        records, read, used = [], 0, 0
        sequences = find_sequences(self.data_root, self.sequences, self.detector)
        for sequence in sequences:
            first, last = half_range(sequence, self.half)
            frames = range(first, last + 1)
            _check_images(sequence, frames)
            lines = read_gt(sequence)
            labels = self._labels(sequence, lines, class_ids)
            chosen = (labels >= 0) & (lines.visibility >= self.min_visibility)
            chosen &= (lines.frames >= first) & (lines.frames <= last)
            lines, labels = lines.select(chosen), labels[chosen]
            read, used = read + len(chosen), used + len(lines)
            records += self._records(sequence, frames, lines, labels)
        if used == 0:
            raise ValueError(
                f"empty ground truth: none of the {read} lines of "
                f"{len(sequences)} sequences in {self.data_root} is marked for "
                f"evaluation and of the classes {self.metainfo['classes']}"
            )
        print_log(
            f"{self.data_root}: {len(sequences)} sequences, {len(records)} images, "
            f"{used} boxes, {self.num_ids} identities; {read - used} other lines of "
            "gt.txt left out (marked 0, other classes, other half, little visible)",
            logger="current",
        )
        return records

    def _class_ids(self) -> dict[str, int]:
        """Class column of each class asked for."""
        known = {name: i + 1 for i, name in enumerate(MOT_CLASSES)}
        for name in self.metainfo["classes"]:
            if name not in known:
                raise ValueError(
                    f"unknown class {name!r} in metainfo.classes: choose from "
                    f"{', '.join(known)}"
                )
        return {name: known[name] for name in self.metainfo["classes"]}

    @staticmethod
    def _labels(
        sequence: MOTSequence, lines: MOTAnnotations, class_ids: dict[str, int]
    ) -> np.ndarray:
        """Label of each line, -1 for what is not trained on."""
        labels = np.full(len(lines), -1)
        if lines.is_mot15:
            # This format knows pedestrians alone.
            if "pedestrian" in class_ids:
                pedestrian = list(class_ids).index("pedestrian")
                labels[evaluated_pedestrians(lines)] = pedestrian
            return labels
        marked = lines.marks != 0
        wrong = marked & ((lines.classes < 1) | (lines.classes > len(MOT_CLASSES)))
        if wrong.any():
            row = np.flatnonzero(wrong)[np.argmin(lines.lines[wrong])]
            raise ValueError(
                f"{sequence.gt_path}:{lines.lines[row]}: unknown class "
                f"{lines.classes[row]}, expected 1 to {len(MOT_CLASSES)}"
            )
        for label, class_id in enumerate(class_ids.values()):
            labels[marked & (lines.classes == class_id)] = label
        return labels

    def _records(
        self,
        sequence: MOTSequence,
        frames: range,
        lines: MOTAnnotations,
        labels: np.ndarray,
    ) -> list[dict]:
        """Records of a sequence's frames; lines come sorted by frame."""
        identities = self._number(lines.ids, labels)
        boxes = lines.boxes.copy()
        boxes[:, 2:] += boxes[:, :2]
        bounds = np.searchsorted(lines.frames, [*frames, frames[-1] + 1])
        return [
            dict(
                img_path=str(sequence.image_path(frame)),
                gt_bboxes=boxes[start:stop].astype(np.float32),
                gt_bboxes_labels=labels[start:stop].astype(np.int64),
                gt_instances_ids=identities[start:stop].astype(np.int64),
            )
            for frame, start, stop in zip(frames, bounds[:-1], bounds[1:], strict=True)
        ]

    def _number(self, ids: np.ndarray, labels: np.ndarray) -> np.ndarray:
        """Number a sequence's identities on from those of the sequences before."""
        if not self.identities_per_class:
            names, identities = np.unique(ids, return_inverse=True)
            identities = identities + self.num_ids
            self.num_ids += len(names)
            return identities
        identities = np.empty(len(ids), np.int64)
        for label in range(len(self.num_ids)):
            chosen = labels == label
            names, numbers = np.unique(ids[chosen], return_inverse=True)
            identities[chosen] = numbers + self.num_ids[label]
            self.num_ids[label] += len(names)
        return identities

    def get_data_info(self, idx: int) -> dict:
        """Record of one frame, its boxes as the toolbox's transforms expect them."""
        info = super().get_data_info(idx)
        info["gt_bboxes"] = HorizontalBoxes(info["gt_bboxes"])
        info["img_id"] = info["sample_idx"]
        return info


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
