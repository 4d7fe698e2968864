"""Annotations of many images in a few arrays.

A million dicts would take gigabytes, and reference counting would copy them into every
forked worker. Here each field is one array over all images or all boxes, which the
workers share.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from itertools import chain

import numpy as np

NO_IDENTITY = -1
NO_FRAME = -1


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

    @classmethod
    def join(cls, tables: Sequence[StringTable]) -> StringTable:
        """The strings of several tables."""
        return cls(chain(*tables)) if len(tables) > 1 else tables[0]

    def select(self, rows: np.ndarray) -> StringTable:
        """The strings of some rows (K,)."""
        return StringTable(self[row] for row in rows.tolist())


@dataclass(frozen=True, eq=False)
class FrameRecords:
    """N images with M boxes altogether; those of image i are ``starts[i:i + 2]``.

    Attributes:
        paths: N image files, or video files.
        starts: (N + 1,) int64, first box of each image, and M.
        boxes: (M, 4) xyxy, float32 in pixels; if ``normalized`` float64 in shares of
            the image's width and height.
        labels: (M,) int32, index of the class.
        identities: (M,) int32, 0..num_ids - 1, or -1 for none.
        ignored: (M,) bool, true for what is not to be learnt. The losses treat such
            regions as background.
        lines: (M,) int32, line of the annotation file (from 1), or 0.
        frames: (N,) int32, frame of the video from 0, or -1 for an image file.
        sizes: (N, 2) int32, width and height the annotations claim, or 0.
        sequence_index: (N,) int32, sequence the image belongs to.
        annotation_files: Annotation file of each sequence.
        sequence_names: Name of each sequence.
        normalized: Whether boxes are shares of the image.
    """

    paths: StringTable
    starts: np.ndarray
    boxes: np.ndarray
    labels: np.ndarray
    identities: np.ndarray
    ignored: np.ndarray
    lines: np.ndarray
    frames: np.ndarray
    sizes: np.ndarray
    sequence_index: np.ndarray
    annotation_files: StringTable
    sequence_names: StringTable
    normalized: bool = False

    def __post_init__(self) -> None:
        for entry in fields(self):
            if isinstance(array := getattr(self, entry.name), np.ndarray):
                array.flags.writeable = False

    def __deepcopy__(self, memo: dict) -> FrameRecords:
        # Nothing in here changes, and MMEngine copies datasets freely.
        return self

    def __len__(self) -> int:
        return len(self.paths)

    @property
    def num_ids(self) -> int:
        """Number of identities."""
        return int(self.identities.max(initial=-1)) + 1

    @property
    def images(self) -> np.ndarray:
        """(M,) image of each box."""
        return np.repeat(np.arange(len(self)), np.diff(self.starts))

    def select(self, rows: np.ndarray) -> FrameRecords:
        """Some images (K,), in that order; identities keep their numbers."""
        rows = np.asarray(rows, np.int64)
        counts = np.diff(self.starts)[rows]
        starts = np.concatenate(([0], np.cumsum(counts)))
        boxes = np.repeat(self.starts[rows] - starts[:-1], counts)
        boxes += np.arange(starts[-1])
        per_box = ("boxes", "labels", "identities", "ignored", "lines")
        per_image = ("frames", "sizes", "sequence_index")
        return replace(
            self,
            paths=self.paths.select(rows),
            starts=starts,
            **{name: getattr(self, name)[boxes] for name in per_box},
            **{name: getattr(self, name)[rows] for name in per_image},
        )


def join_records(parts: Sequence[FrameRecords]) -> FrameRecords:
    """Records of several sequences; the identities of each follow those before it.

    Raises:
        ValueError: There is no sequence.
    """
    if not parts:
        raise ValueError("no annotated sequence")
    first_ids = np.cumsum([0, *(part.num_ids for part in parts)])
    identities = [
        np.where(part.identities >= 0, part.identities + first, NO_IDENTITY)
        for part, first in zip(parts, first_ids[:-1], strict=True)
    ]
    counts = np.concatenate([np.diff(part.starts) for part in parts])
    names = ("boxes", "labels", "ignored", "lines", "frames", "sizes")
    return FrameRecords(
        paths=StringTable.join([part.paths for part in parts]),
        starts=np.concatenate(([0], np.cumsum(counts))),
        identities=np.concatenate(identities).astype(np.int32),
        sequence_index=np.repeat(
            np.arange(len(parts), dtype=np.int32), [len(part) for part in parts]
        ),
        annotation_files=StringTable.join([part.annotation_files for part in parts]),
        sequence_names=StringTable.join([part.sequence_names for part in parts]),
        normalized=parts[0].normalized,
        **{
            name: np.concatenate([getattr(part, name) for part in parts])
            for name in names
        },
    )
