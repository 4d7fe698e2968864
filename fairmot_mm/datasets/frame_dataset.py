from __future__ import annotations

import copy
import logging
import os
import zlib
from abc import abstractmethod
from collections import Counter
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import numpy as np
from mmdet.structures.bbox import HorizontalBoxes
from mmengine.dataset import BaseDataset
from mmengine.logging import print_log
from PIL import Image

from fairmot_mm.formats.annotation_errors import (
    Fault,
    collect_faults,
    collecting,
    report,
)

from .frame_records import NO_FRAME, FrameRecords

_EXIF_ORIENTATION = 0x0112


class FrameDataset(BaseDataset):
    """Images with boxes and identities, for training: what all sources share.

    A source reads its format in :meth:`load_records` and is done. The record of an
    image, ``get_data_info(i)``, holds ``img_path``, ``gt_bboxes`` (n, 4) xyxy in
    pixels, ``gt_bboxes_labels`` (n,), ``gt_instances_ids`` (n,) with -1 for boxes
    without identity, ``gt_ignore_flags`` (n,) and ``source``; a frame of a video also
    has ``frame_index``. Boxes may leave the image; ignored ones are in the record, but
    no objects to learn. Images without boxes are trained on.

    Identities are numbered from 0 over the whole source, all classes together; their
    number is ``num_ids``. With ``per_class_ids`` every class counts its own from 0, as
    a ReID classifier per class needs it. ``num_ids_per_class`` holds the number of
    each class in either case.

    Args:
        name (str | None): Name of the source; its path if None.
        per_class_ids (bool): Number identities within their class.
        skip_faulty (bool): Leave out what is wrong in the annotations and log how
            much it was, instead of stopping at the first fault.
        input_size: Width and height of the network input, which ``Letterbox`` reads
            from the record.
        **kwargs: For :class:`mmengine.dataset.BaseDataset`: ``data_root``,
            ``ann_file``, ``metainfo`` with the ``classes`` to learn, ``pipeline``.

    Raises:
        FileNotFoundError: If a file or an image is missing.
        ValueError: If a file is malformed, or no box is left.
    """

    METAINFO = dict(classes=("pedestrian",))  # noqa: RUF012
    ordered = True  # whether the images of a part are successive frames

    def __init__(
        self,
        name: str | None = None,
        per_class_ids: bool = False,
        skip_faulty: bool = False,
        input_size: tuple[int, int] | None = None,
        **kwargs,
    ) -> None:
        self.name = name
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
        if self.name is None:
            self.name = self._place()
        if not lazy_init:
            self.full_init()

    @abstractmethod
    def load_records(self) -> FrameRecords:
        """Read the annotations.

        Boxes that are sound but not wanted are counted in ``self.left_out``, by reason;
        what is wrong goes through :mod:`.faults`.
        """

    def full_init(self) -> None:
        """Read the annotations, unless they are there."""
        if self._fully_initialized:
            return
        tolerant = self.skip_faulty and not collecting()
        with collect_faults() if tolerant else nullcontext([]) as faults:
            try:
                records = self._sound_records()
            except ValueError as error:
                # What was left out may be why nothing is left.
                if faults:
                    raise ValueError(f"{error}; {_counted(faults)}") from error
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
        # What a source adds to its identities to make them those of a mixture.
        self.identity_offsets = np.zeros(len(self._classes), np.int64)
        if self._indices is not None:
            records = records.select(_rows(self._indices, len(records)))
        self.records = records
        self._fully_initialized = True
        self._log(faults)

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
            IndexError: If there are fewer images.
        """
        size = len(self)
        if not -size <= idx < size:
            raise IndexError(f"image {idx} of {size} in {self.name}")
        index, records = idx % size, self.records
        boxes = slice(*records.starts[index : index + 2].tolist())
        path, frame = records.paths[index], int(records.frames[index])
        # Copies: transforms write into what they are given.
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
        """What there is and what was left out, in a line."""
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
        return self._annotation_file(self.records, index)

    def _annotation_file(self, records: FrameRecords, index: int) -> str:
        return records.part_files[int(records.parts[index])]

    @property
    def _classes(self) -> tuple[str, ...]:
        return tuple(self.metainfo["classes"])

    def _place(self) -> str:
        return str(self.ann_file or self.data_root)

    def _reasons(self) -> str:
        reasons = [f"{count} {why}" for why, count in self.left_out.items() if count]
        return f"; left out: {', '.join(reasons)}" if reasons else ""

    def _log(self, faults: Sequence[Fault]) -> None:
        print_log(self.summary(), logger="current")
        if faults:
            print_log(
                f"{self.name}: {_counted(faults)}",
                logger="current",
                level=logging.WARNING,
            )

    def _sound_records(self) -> FrameRecords:
        """The annotations without what is at fault."""
        records = self.load_records()
        records = self._without_repeated_identities(records)
        records = self._without_missing_images(records)
        if not len(records.boxes):
            raise ValueError(
                f"{self._place()}: empty ground truth: no box of the classes "
                f"{self.metainfo['classes']} in {len(records)} images" + self._reasons()
            )
        return records

    def _warn_of_empty_classes(self, records: FrameRecords) -> None:
        labels = records.labels[~records.ignored]
        counts = np.bincount(labels, minlength=len(self._classes))
        empty = [self._classes[label] for label in np.flatnonzero(counts == 0)]
        if empty:
            print_log(
                f"{self.name}: not a single box of {', '.join(empty)}: check "
                "metainfo.classes, or that the annotations have them",
                logger="current",
                level=logging.WARNING,
            )

    def _without_repeated_identities(self, records: FrameRecords) -> FrameRecords:
        """Report an identity that is in one image twice, and take it from the second.

        The box stays, as one without identity.
        """
        rows = np.flatnonzero(records.identities >= 0)
        keys = records.images[rows] * (records.num_ids + 1) + records.identities[rows]
        order = np.argsort(keys, kind="stable")
        again = rows[order[1:]][keys[order[1:]] == keys[order[:-1]]]
        if not len(again):
            return records
        images = records.images
        for row in np.sort(again):
            self._report_repeated(records, int(row), int(images[row]))
        identities = records.identities.copy()
        identities[again] = -1
        return replace(records, identities=identities)

    def _report_repeated(self, records: FrameRecords, row: int, image: int) -> None:
        start = records.starts[image]
        same = records.identities[start:row] == records.identities[row]
        first = records.lines[start + int(np.argmax(same))]
        report(
            "identity twice",
            self._annotation_file(records, image),
            int(records.lines[row]) or None,
            f"an identity is twice in {records.paths[image]}, expected once"
            + (f" (first on line {first})" if first else ""),
        )

    def _without_missing_images(self, records: FrameRecords) -> FrameRecords:
        """Name the images that are missing, before hours of training find them."""
        missing = missing_files(records.paths)
        if not len(missing):
            return records
        path = records.paths[int(missing[0])]
        if not collecting():
            raise FileNotFoundError(
                f"{path} is missing, and {len(missing) - 1} more of {len(records)} "
                f"images that {self._place()} annotates: check data_root, or restore "
                "the images"
            )
        for index in missing.tolist():
            report("missing image", records.paths[index], None, "missing")
        return records.select(np.setdiff1d(np.arange(len(records)), missing))


def _counted(faults: Sequence[Fault]) -> str:
    kinds = Counter(fault.kind for fault in faults)
    return (
        f"left out {len(faults)} faults "
        f"({', '.join(f'{n} {kind}' for kind, n in kinds.items())}), the first of them "
        f"{faults[0]}; tools/analysis_tools/check_dataset.py lists all"
    )


def missing_files(paths: Sequence[str]) -> np.ndarray:
    """Which of many paths (N,) are no files: lists each folder once."""
    folders: dict[str, set[str]] = {}
    missing = []
    for index in range(len(paths)):
        folder, name = os.path.split(paths[index])
        if folder not in folders:
            exists = os.path.isdir(folder or ".")
            folders[folder] = set(os.listdir(folder or ".")) if exists else set()
        if name not in folders[folder]:
            missing.append(index)
    return np.array(missing, np.int64)


def image_size(path: str | Path) -> tuple[int, int]:
    """Width and height as the image is loaded, from its header alone.

    Raises:
        OSError: If the image cannot be read.
    """
    try:
        with Image.open(path) as image:
            turned = image.getexif().get(_EXIF_ORIENTATION, 1) >= 5
            return image.size[::-1] if turned else image.size
    except Exception as error:
        raise OSError(f"unreadable image {path}: {error}. Restore the file") from error


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
