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

from fairmot_mm.formats.annotation_errors import AnnotationError, ErrorSink, raise_error
from fairmot_mm.formats.images import report_missing_images

from .annotated_sequence import AnnotatedSequence
from .frame_records import FrameRecords, join_records

# More in one training, and it is no single file but the disk.
_MAX_UNREADABLE = 10


class FrameDataset(BaseDataset):
    """Images with boxes and identities, for training: the base of all sources.

    A source parses its format in :meth:`read_sequences`; everything else is done here.
    The record of an image, ``get_data_info(i)``, holds its file and boxes, see
    :class:`FrameRecords`, and ``source``. Boxes may reach outside the image; ignored
    ones are in the record but are not learnt. Images without boxes are trained on. An
    image that cannot be read is named in the log and replaced by another one.

    Identities are numbered from 0 over the whole source, all classes together, or with
    ``per_class_ids`` within each class, as a ReID classifier per class needs it.

    Args:
        name: Name of the source; its path if None.
        per_class_ids: Number identities within their class.
        skip_faulty: Leave out what is wrong in the annotations and log how much it
            was, instead of stopping at the first error.
        input_size: Width and height of the network input, which ``Letterbox`` reads
            from the record.
        **kwargs: For :class:`mmengine.dataset.BaseDataset`: ``data_root``,
            ``ann_file``, ``data_prefix``, ``metainfo`` with the ``classes`` to learn,
            ``pipeline``.

    Raises:
        FileNotFoundError: A file or an image is missing.
        ValueError: A file is malformed, a class is unknown, or no box is left.
    """

    METAINFO: ClassVar[dict] = dict(classes=("pedestrian",))
    ordered = True  # whether the images of a sequence are successive frames
    image_folder = ""  # default of data_prefix["img_path"]
    _fully_initialized: bool

    def __init__(
        self,
        name: str | None = None,
        per_class_ids: bool = False,
        skip_faulty: bool = False,
        input_size: tuple[int, int] | None = None,
        data_prefix: dict | None = None,
        lazy_init: bool = False,
        **kwargs: Any,
    ) -> None:
        self.input_size = input_size
        self.per_class_ids = per_class_ids
        self.skip_faulty = skip_faulty
        self.left_out: Counter[str] = Counter()
        self.records: FrameRecords
        data_prefix = data_prefix or dict(img_path=self.image_folder)
        super().__init__(lazy_init=True, data_prefix=data_prefix, **kwargs)
        classes = self._metainfo["classes"]
        if isinstance(classes, str) or len(set(classes)) != len(classes):
            raise ValueError(
                f"metainfo.classes is {classes!r}: give a sequence of different names"
            )
        self._metainfo["classes"] = self._classes = tuple(classes)
        self._path = str(self.ann_file or self.data_root)
        self.name = self._path if name is None else name
        if not lazy_init:
            self.full_init()

    @abstractmethod
    def read_sequences(self, errors: ErrorSink) -> Iterator[AnnotatedSequence]:
        """Parse the annotations; what the numbers say is checked by the base class.

        Args:
            errors: Takes what is malformed. Boxes that are sound but not wanted go
                through :meth:`leave_out`.
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
        self.records = self._count_identities(records)
        # Added to the identities of a source that is one of several.
        self.identity_offsets = np.zeros(len(self._classes), np.int64)
        self._fully_initialized = True
        if self._indices is not None:
            self.get_subset_(self._indices)
        # Of all workers together.
        self._unreadable = torch.zeros(len(self), dtype=torch.bool).share_memory_()
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
        index = idx % size
        info = dict(
            self.records.file(index),
            **self.records.objects(index),
            img_id=index,
            sample_idx=index,
            source=self.name,
        )
        info["gt_bboxes"] = HorizontalBoxes(info["gt_bboxes"])
        labels, identities = info["gt_bboxes_labels"], info["gt_instances_ids"]
        known = identities >= 0
        identities[known] += self.identity_offsets[labels[known]]
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
            text = (
                f"another image is taken instead ({count} of {_MAX_UNREADABLE} times)"
            )
            # As an error, because other processes than the main one log nothing less.
            print_log(f"{error}; {text}", logger="current", level=logging.ERROR)
            return None

    def get_cat_ids(self, idx: int) -> list[int]:
        """Classes of an image's objects, as ``ClassBalancedDataset`` asks for them."""
        self.full_init()
        rows = self.records.rows(idx)
        return self.records.labels[rows][~self.records.ignored[rows]].tolist()

    def images_of_sequence(self, idx: int) -> range:
        """The images of an image's sequence; itself alone if they are in no order."""
        self.full_init()
        if not self.ordered:
            return range(idx, idx + 1)
        starts = self.records.sequence_starts
        number = np.searchsorted(starts, idx, "right")
        return range(int(starts[number - 1]), int(starts[number]))

    def get_subset_(self, indices: Sequence[int] | int) -> None:
        """Keep some images: the first, the last (negative), or those listed."""
        self.full_init()
        rows = np.arange(len(self))
        if isinstance(indices, int):
            rows = rows[:indices] if indices >= 0 else rows[indices:]
        else:
            rows = rows[np.asarray(indices, np.int64)]
        self.records = self.records.select(rows)

    def get_subset(self, indices: Sequence[int] | int) -> FrameDataset:
        """A dataset of some images, see :meth:`get_subset_`."""
        self.full_init()
        subset = copy.deepcopy(self)
        subset.get_subset_(indices)
        return subset

    def counts(self) -> dict[str, int]:
        """What was read."""
        self.full_init()
        records = self.records
        without = (records.identities < 0) & ~records.ignored
        return {
            "images": len(records),
            "boxes": len(records.boxes),
            "without identity": int(without.sum()),
            "to ignore": int(records.ignored.sum()),
            "identities": self._num_ids,
        }

    def summary(self) -> str:
        """What was read and what was left out, in a line."""
        images, boxes, without, ignored, identities = self.counts().values()
        return (
            f"{self.name}: {images} images, {boxes} boxes ({without} without identity, "
            f"{ignored} to ignore), {identities} identities" + self._reasons()
        )

    def annotation_file(self, index: int) -> str:
        """The file that annotates an image."""
        return self.records.annotation_files[int(self.records.sequence_index[index])]

    def leave_out(self, reasons: dict[str, np.ndarray]) -> np.ndarray:
        """Count boxes that are not wanted, each under the first reason that applies.

        Takes a mask (m,) for each reason, and returns the mask of the boxes to keep.
        """
        kept = np.ones(len(next(iter(reasons.values()))), bool)
        for reason, applies in reasons.items():
            if count := int((kept & applies).sum()):
                self.left_out[reason] += count
            kept &= ~applies
        return kept

    def _reasons(self) -> str:
        reasons = ", ".join(f"{count} {why}" for why, count in self.left_out.items())
        return f"; left out: {reasons}" if reasons else ""

    def _warn(self, text: str) -> None:
        print_log(f"{self.name}: {text}", logger="current", level=logging.WARNING)

    def _read(self, errors: ErrorSink) -> FrameRecords:
        """The annotations without what is wrong in them."""
        sequences = self.read_sequences(errors)
        wanted = self._classes, self.leave_out
        records = join_records([x.to_records(*wanted) for x in sequences])
        present = report_missing_images(records.paths, self._path, errors)
        if not present.all():
            records = records.select(np.flatnonzero(present))
        if not len(records.boxes):
            raise ValueError(
                f"{self._path}: empty ground truth: no box of the classes "
                f"{self._classes} in {len(records)} images" + self._reasons()
            )
        found = np.unique(records.labels[~records.ignored])
        if empty := [x for i, x in enumerate(self._classes) if i not in found]:
            self._warn(
                f"not a single box of {', '.join(empty)}: check metainfo.classes, or "
                "that the annotations have them"
            )
        return records

    def _count_identities(self, records: FrameRecords) -> FrameRecords:
        """Count the identities, and number them within their class if asked for."""
        rows = np.flatnonzero(records.identities >= 0)
        stride = records.num_ids + 1
        keys = records.labels[rows].astype(np.int64) * stride + records.identities[rows]
        # Each identity of each class, classes ascending.
        pairs, first, ranks = np.unique(keys, return_index=True, return_inverse=True)
        per_class = np.bincount(pairs // stride, minlength=len(self._classes))
        self._pairs_per_class = per_class.tolist()
        self._num_ids = len(pairs) if self.per_class_ids else records.num_ids
        # Which identity is which, by the boxes they are first seen in, for MMEngine to
        # compare when a training is resumed.
        boxes = np.ascontiguousarray(records.boxes[rows[first]])
        self._metainfo["identities"] = (len(first), zlib.crc32(boxes.data))
        if not self.per_class_ids:
            return records
        first_of_class = np.repeat(np.cumsum(per_class) - per_class, per_class)
        identities = records.identities.copy()
        identities[rows] = (np.arange(len(pairs)) - first_of_class)[ranks]
        return replace(records, identities=identities)


def _count_errors(errors: Sequence[AnnotationError]) -> str:
    kinds = Counter(error.kind for error in errors).items()
    counts = ", ".join(f"{count} {kind}" for kind, count in kinds)
    return (
        f"left out {len(errors)} annotation errors ({counts}), the first of them "
        f"{errors[0]}; tools/analysis_tools/check_dataset.py lists all"
    )
