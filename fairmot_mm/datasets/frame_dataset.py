from __future__ import annotations

import copy
import logging
import zlib
from abc import abstractmethod
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
import torch
from mmdet.structures.bbox import HorizontalBoxes
from mmengine.dataset import BaseDataset
from mmengine.logging import print_log

from fairmot_mm.formats.annotation_errors import (
    AnnotationError,
    ErrorSink,
    raise_error,
)
from fairmot_mm.formats.images import image_size, report_missing_images

from .annotated_sequence import AnnotatedSequence
from .frame_records import NO_FRAME, FrameRecords, join_records

# More in one training, and it is no single file but the disk.
_MAX_UNREADABLE = 10


class FrameDataset(BaseDataset):
    """Images with boxes and identities, for training: the base of all sources.

    A source parses its format in :meth:`read_sequences`; everything else is done here.
    The record of an image, ``get_data_info(i)``, holds ``img_path``, ``gt_bboxes``
    (n, 4) xyxy in pixels, ``gt_bboxes_labels`` (n,), ``gt_instances_ids`` (n,) with -1
    for boxes without identity, ``gt_ignore_flags`` (n,) and ``source``; a frame of a
    video also has ``frame_index``. Boxes may reach outside the image; ignored ones are
    in the record but are not learnt. Images without boxes are trained on.

    Identities are numbered from 0 over the whole source, all classes together; their
    number is ``num_ids``. With ``per_class_ids`` they are numbered from 0 within each
    class, as a ReID classifier per class needs it. ``num_ids_per_class`` holds the
    number of each class in either case.

    An image that cannot be read is named in the log and replaced by another one.

    Args:
        name: Name of the source; its path if None.
        per_class_ids: Number identities within their class.
        skip_faulty: Leave out what is wrong in the annotations and log how much it
            was, instead of stopping at the first error.
        input_size: Width and height of the network input, which ``Letterbox`` reads
            from the record.
        **kwargs: For :class:`mmengine.dataset.BaseDataset`: ``data_root``,
            ``ann_file``, ``metainfo`` with the ``classes`` to learn, ``pipeline``.

    Raises:
        FileNotFoundError: A file or an image is missing.
        ValueError: A file is malformed, a class is unknown, or no box is left.
    """

    METAINFO: ClassVar[dict] = dict(classes=("pedestrian",))
    ordered = True  # whether the images of a sequence are successive frames
    _fully_initialized: bool

    def __init__(
        self,
        name: str | None = None,
        per_class_ids: bool = False,
        skip_faulty: bool = False,
        input_size: tuple[int, int] | None = None,
        **kwargs: Any,
    ) -> None:
        self.input_size = input_size
        self.per_class_ids = per_class_ids
        self.skip_faulty = skip_faulty
        self.left_out: Counter[str] = Counter()
        self.records: FrameRecords
        lazy_init = kwargs.pop("lazy_init", False)
        super().__init__(lazy_init=True, **kwargs)
        classes = self._metainfo["classes"]
        if isinstance(classes, str) or len(set(classes)) != len(classes):
            raise ValueError(
                f"metainfo.classes is {classes!r}: give a sequence of different names"
            )
        self._metainfo["classes"] = tuple(classes)
        self._path = str(self.ann_file or self.data_root)
        self.name = self._path if name is None else name
        if not lazy_init:
            self.full_init()

    @abstractmethod
    def read_sequences(self, errors: ErrorSink) -> Iterator[AnnotatedSequence]:
        """Parse the annotations.

        Args:
            errors: Takes what is malformed. The numbers themselves are checked here,
                by the base class. Boxes that are sound but not wanted go through
                :meth:`leave_out`.
        """

    def full_init(self, errors: ErrorSink | None = None) -> None:
        """Read the annotations, unless this is done.

        Args:
            errors: Takes the annotation errors. If None they are logged with
                ``skip_faulty``, and the first is raised without.
        """
        if self._fully_initialized:
            return
        skipped: list[AnnotationError] = []
        if errors is None:
            errors = skipped.append if self.skip_faulty else raise_error
        try:
            records = self._read(errors)
        except ValueError as error:
            # What was left out may be why nothing is left.
            if skipped:
                raise ValueError(f"{error}; {_count_errors(skipped)}") from error
            raise
        self._warn_of_empty_classes(records)
        rows, pair_classes, ranks = _pairs(records)
        per_class = np.bincount(pair_classes, minlength=len(self._classes))
        self._pairs_per_class = per_class.tolist()
        if self.per_class_ids:
            # From 0 within each class.
            first = np.searchsorted(pair_classes, pair_classes)
            identities = records.identities.copy()
            identities[rows] = (np.arange(len(pair_classes)) - first)[ranks]
            records = replace(records, identities=identities)
        self._num_ids = (
            sum(self._pairs_per_class) if self.per_class_ids else records.num_ids
        )
        # Which identity is which, by the boxes they are first seen in, for MMEngine to
        # compare when a training is resumed.
        first = rows[np.unique(ranks, return_index=True)[1]]
        boxes = zlib.crc32(np.ascontiguousarray(records.boxes[first]).data)
        self._metainfo["identities"] = (len(first), boxes)
        # Added to the identities of a source that is one of several.
        self.identity_offsets = np.zeros(len(self._classes), np.int64)
        if self._indices is not None:
            records = records.select(_rows(self._indices, len(records)))
        self.records = records
        # Of all workers together.
        self._unreadable = torch.zeros(len(records), dtype=torch.bool).share_memory_()
        self._fully_initialized = True
        print_log(self.summary(), logger="current")
        if skipped:
            self._warn(_count_errors(skipped))

    @property
    def num_ids(self) -> int:
        """Number of identities; with ``per_class_ids`` the sum over the classes."""
        self.full_init()
        return self._num_ids

    @property
    def num_ids_per_class(self) -> list[int]:
        """Number of identities that are seen with each class."""
        self.full_init()
        return list(self._pairs_per_class)

    def __len__(self) -> int:
        self.full_init()
        return len(self.records)

    def get_data_info(self, idx: int) -> dict:
        """The record of an image, see the class.

        Raises:
            IndexError: There are fewer images.
        """
        size = len(self)
        if not -size <= idx < size:
            raise IndexError(f"image {idx} of {size} in {self.name}")
        index, records = idx % size, self.records
        boxes = slice(*records.starts[index : index + 2].tolist())
        path, frame = records.paths[index], int(records.frames[index])
        # Copies, as transforms write into what they are given.
        xyxy = records.boxes[boxes].copy()
        if records.normalized:
            xyxy *= np.tile(image_size(path), 2)
        labels = records.labels[boxes].astype(np.int64)
        identities = records.identities[boxes].astype(np.int64)
        identities[identities >= 0] += self.identity_offsets[labels[identities >= 0]]
        info = dict(
            img_path=path,
            img_id=index,
            sample_idx=index,
            source=self.name,
            gt_bboxes=HorizontalBoxes(xyxy.astype(np.float32)),
            gt_bboxes_labels=labels,
            gt_instances_ids=identities,
            gt_ignore_flags=records.ignored[boxes].copy(),
        )
        if frame != NO_FRAME:
            info["frame_index"] = frame
        if self.input_size is not None:
            info["input_size"] = self.input_size
        return info

    def prepare_data(self, idx: int) -> dict | None:
        """A sample, or None, for which MMEngine takes another one.

        Raises:
            OSError: Too many images cannot be read.
        """
        try:
            return super().prepare_data(idx)
        except OSError as error:
            self._unreadable[idx % len(self._unreadable)] = True
            count = int(self._unreadable.sum())
            if count > _MAX_UNREADABLE:
                raise OSError(f"{error}. {count} images cannot be read") from error
            text = f"another image is taken instead ({count} of {_MAX_UNREADABLE} times"
            # As an error, because other processes than the main one log nothing less.
            print_log(f"{error}; {text})", logger="current", level=logging.ERROR)
            return None

    def get_cat_ids(self, idx: int) -> list[int]:
        """Classes of an image's objects, as ``ClassBalancedDataset`` asks for them."""
        self.full_init()
        boxes = slice(*self.records.starts[idx : idx + 2].tolist())
        return self.records.labels[boxes][~self.records.ignored[boxes]].tolist()

    def get_subset_(self, indices: Sequence[int] | int) -> None:
        """Keep some images: the first, the last (negative), or those listed."""
        self.full_init()
        self.records = self.records.select(_rows(indices, len(self)))

    def get_subset(self, indices: Sequence[int] | int) -> FrameDataset:
        """A dataset of some images, see :meth:`get_subset_`."""
        self.full_init()
        subset = copy.deepcopy(self)
        subset.get_subset_(indices)
        return subset

    def summary(self) -> str:
        """What was read and what was left out, in a line."""
        self.full_init()
        records = self.records
        without = int(((records.identities < 0) & ~records.ignored).sum())
        return (
            f"{self.name}: {len(records)} images, {len(records.boxes)} boxes "
            f"({without} without identity, {int(records.ignored.sum())} to ignore), "
            f"{self._num_ids} identities" + self._reasons()
        )

    def annotation_file(self, index: int) -> str:
        """The file that annotates an image."""
        return self.records.annotation_files[int(self.records.sequence_index[index])]

    def leave_out(self, reasons: dict[str, np.ndarray]) -> np.ndarray:
        """Count boxes that are not wanted, each under the first reason that applies.

        Args:
            reasons: (m,) mask for each reason.

        Returns:
            (m,) mask of the boxes that are kept.
        """
        kept = np.ones(len(next(iter(reasons.values()))), bool)
        for reason, applies in reasons.items():
            if count := int((kept & applies).sum()):
                self.left_out[reason] += count
            kept &= ~applies
        return kept

    @property
    def _classes(self) -> tuple[str, ...]:
        return tuple(self.metainfo["classes"])

    def _reasons(self) -> str:
        reasons = [f"{count} {why}" for why, count in self.left_out.items()]
        return f"; left out: {', '.join(reasons)}" if reasons else ""

    def _warn(self, text: str) -> None:
        print_log(f"{self.name}: {text}", logger="current", level=logging.WARNING)

    def _warn_of_empty_classes(self, records: FrameRecords) -> None:
        labels = records.labels[~records.ignored]
        counts = np.bincount(labels, minlength=len(self._classes))
        empty = [self._classes[label] for label in np.flatnonzero(counts == 0)]
        if empty:
            self._warn(
                f"not a single box of {', '.join(empty)}: check metainfo.classes, or "
                "that the annotations have them"
            )

    def _read(self, errors: ErrorSink) -> FrameRecords:
        """The annotations without what is wrong in them."""
        records = join_records(
            [
                sequence.to_records(self._classes, self.leave_out)
                for sequence in self.read_sequences(errors)
            ]
        )
        present = report_missing_images(records.paths, self._path, errors)
        if not present.all():
            records = records.select(np.flatnonzero(present))
        if not len(records.boxes):
            raise ValueError(
                f"{self._path}: empty ground truth: no box of the classes "
                f"{self._classes} in {len(records)} images" + self._reasons()
            )
        return records


def _count_errors(errors: Sequence[AnnotationError]) -> str:
    kinds = Counter(error.kind for error in errors)
    return (
        f"left out {len(errors)} annotation errors "
        f"({', '.join(f'{n} {kind}' for kind, n in kinds.items())}), the first of them "
        f"{errors[0]}; tools/analysis_tools/check_dataset.py lists all"
    )


def _rows(indices: Sequence[int] | int, length: int) -> np.ndarray:
    """Rows that MMEngine's ``indices`` stand for."""
    rows = np.arange(length)
    if isinstance(indices, int):
        return rows[:indices] if indices >= 0 else rows[indices:]
    return rows[np.asarray(indices, np.int64)]


def _pairs(records: FrameRecords) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Find the (class, identity) pairs there are.

    Returns:
        Boxes (M,) with identity, classes of the pairs (P,), ascending, and the pair
        (M,) of each box.
    """
    rows = np.flatnonzero(records.identities >= 0)
    keys = records.labels[rows].astype(np.int64) * (records.num_ids + 1)
    pairs, ranks = np.unique(keys + records.identities[rows], return_inverse=True)
    return rows, pairs // (records.num_ids + 1), ranks
