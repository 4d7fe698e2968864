"""Annotations of many images in a few arrays.

A million dicts would take gigabytes, and reference counting would copy them into every
forked worker. Here each field is one array over all images or all boxes, which the
workers share.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import chain

import numpy as np

from fairmot_mm.formats.images import image_size

NO_IDENTITY = -1
NO_FRAME = -1
_PER_BOX = ("boxes", "labels", "identities", "ignored", "lines")
_PER_IMAGE = ("frames", "sizes", "sequence_index")


class StringTable:
    """Read-only list of strings in one array of bytes; paths may hold any bytes."""

    def __init__(self, strings: Iterable[str]) -> None:
        encoded = [os.fsencode(string) for string in strings]
        lengths = np.fromiter(map(len, encoded), np.int64, len(encoded))
        self.ends = np.cumsum(lengths)
        self.bytes = np.frombuffer(b"".join(encoded), np.uint8)

    def __len__(self) -> int:
        return len(self.ends)

    def __getitem__(self, index: int) -> str:
        start = self.ends[index - 1] if index else 0
        return os.fsdecode(self.bytes[start : self.ends[index]].tobytes())

    def __iter__(self) -> Iterator[str]:
        return map(self.__getitem__, range(len(self)))

    def select(self, rows: np.ndarray) -> StringTable:
        """The strings of some rows (K,)."""
        return StringTable(self[row] for row in rows.tolist())


@dataclass(frozen=True, eq=False)
class FrameRecords:
    """N images with M boxes altogether; those of image i are ``starts[i:i + 2]``."""

    paths: StringTable  # N image files, or video files
    starts: np.ndarray  # (N + 1,) int64, first box of each image, and M
    # (M, 4) xyxy, float32 in pixels; if normalized float64 in shares of the image
    boxes: np.ndarray
    labels: np.ndarray  # (M,) int32, index of the class
    identities: np.ndarray  # (M,) int32, 0..num_ids - 1, or -1 for none
    # (M,) bool, what is not to be learnt; the losses treat it as background
    ignored: np.ndarray
    lines: np.ndarray  # (M,) int32, line of the annotation file (from 1), or 0
    frames: np.ndarray  # (N,) int32, frame of the video from 0, or -1 for an image file
    sizes: np.ndarray  # (N, 2) int32, width and height the annotations claim, or 0
    sequence_index: np.ndarray  # (N,) int32, sequence the image belongs to
    annotation_files: StringTable  # of each sequence
    sequence_names: StringTable
    normalized: bool = False  # whether boxes are shares of the image's width and height

    def __post_init__(self) -> None:
        for value in vars(self).values():
            if isinstance(value, np.ndarray):
                value.flags.writeable = False

    def __deepcopy__(self, memo: dict) -> FrameRecords:
        # Nothing in here changes, and MMEngine copies datasets freely.
        return self

    def __len__(self) -> int:
        return len(self.paths)

    @property
    def num_ids(self) -> int:
        """Number of identities."""
        return int(self.identities.max(initial=-1)) + 1

    @cached_property
    def sequence_starts(self) -> np.ndarray:
        """(S + 1,) first image of each run of images of one sequence, and N."""
        starts = np.flatnonzero(np.diff(self.sequence_index, prepend=-1, append=-1))
        starts.flags.writeable = False
        return starts

    @property
    def images(self) -> np.ndarray:
        """(M,) image of each box."""
        return np.repeat(np.arange(len(self)), np.diff(self.starts))

    def rows(self, image: int) -> slice:
        """Boxes of an image."""
        return slice(*self.starts[image : image + 2].tolist())

    def file(self, image: int) -> dict:
        """``img_path`` of an image and, of a frame of a video, ``frame_index``."""
        info: dict = dict(img_path=self.paths[image])
        if (frame := int(self.frames[image])) != NO_FRAME:
            info["frame_index"] = frame
        return info

    def objects(self, image: int) -> dict:
        """Copies of an image's n boxes, as transforms write into what they are given.

        Returns:
            ``gt_bboxes`` (n, 4) float32 xyxy in pixels, ``gt_bboxes_labels`` (n,),
            ``gt_instances_ids`` (n,) with -1 for none, ``gt_ignore_flags`` (n,) bool.
        """
        rows = self.rows(image)
        boxes = self.boxes[rows]
        if self.normalized:
            boxes = boxes * np.tile(image_size(self.paths[image]), 2)
        return dict(
            gt_bboxes=boxes.astype(np.float32),
            gt_bboxes_labels=self.labels[rows].astype(np.int64),
            gt_instances_ids=self.identities[rows].astype(np.int64),
            gt_ignore_flags=self.ignored[rows].copy(),
        )

    def select(self, images: np.ndarray | Sequence[int]) -> FrameRecords:
        """Some images (K,), in that order; identities keep their numbers."""
        images = np.asarray(images, np.int64)
        counts = np.diff(self.starts)[images]
        starts = np.concatenate(([0], np.cumsum(counts)))
        boxes = np.repeat(self.starts[images] - starts[:-1], counts)
        boxes += np.arange(starts[-1])
        return replace(
            self,
            paths=self.paths.select(images),
            starts=starts,
            **{name: getattr(self, name)[boxes] for name in _PER_BOX},
            **{name: getattr(self, name)[images] for name in _PER_IMAGE},
        )


def join_records(parts: Sequence[FrameRecords]) -> FrameRecords:
    """Records of several sequences; the identities of each follow those before it.

    Raises:
        ValueError: There is no sequence.
    """
    if not parts:
        raise ValueError("no annotated sequence")
    if len(parts) == 1:
        return parts[0]
    joined = {
        name: np.concatenate([getattr(part, name) for part in parts])
        for name in (*_PER_BOX, *_PER_IMAGE)
    }
    first_ids = np.cumsum([0, *(part.num_ids for part in parts)])[:-1]
    shift = np.repeat(first_ids, [len(part.boxes) for part in parts])
    joined["identities"] += np.where(joined["identities"] >= 0, shift, 0)
    lengths = [len(part) for part in parts]
    joined["sequence_index"] = np.repeat(np.arange(len(parts), dtype=np.int32), lengths)
    counts = np.concatenate([np.diff(part.starts) for part in parts])
    return FrameRecords(
        paths=StringTable(chain(*(part.paths for part in parts))),
        starts=np.concatenate(([0], np.cumsum(counts))),
        annotation_files=StringTable(chain(*(p.annotation_files for p in parts))),
        sequence_names=StringTable(chain(*(part.sequence_names for part in parts))),
        normalized=parts[0].normalized,
        **joined,
    )
