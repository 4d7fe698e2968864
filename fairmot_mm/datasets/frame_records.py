"""Annotations of many images in few arrays.

A million dicts would cost gigabytes and be copied into every worker as soon as it
counts their references. Here each field is one array over all images or all boxes,
which forked workers share.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, fields, replace

import numpy as np

NO_IDENTITY = -1
NO_FRAME = -1


class StringTable:
    """Read-only list of strings in one array of bytes.

    Args:
        strings (Iterable[str]): The strings; paths may hold any bytes.
    """

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

    def select(self, rows: np.ndarray) -> StringTable:
        """The strings of some rows (K,)."""
        return StringTable(self[row] for row in rows.tolist())

    @property
    def nbytes(self) -> int:
        """Bytes of memory."""
        return self.bytes.nbytes + self.ends.nbytes


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
        ignored: (M,) bool, true for what is no object to learn. The losses take such
            regions for background.
        lines: (M,) int32, line of the annotation file (from 1), or 0.
        frames: (N,) int32, frame of the video from 0, or -1 for an image file.
        sizes: (N, 2) int32, width and height the annotations claim, or 0.
        parts: (N,) int32, sequence the image belongs to.
        part_files: Annotation file of each sequence.
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
    parts: np.ndarray
    part_files: StringTable
    normalized: bool = False

    def __post_init__(self) -> None:
        for array in self._arrays():
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
    def nbytes(self) -> int:
        """Bytes of memory."""
        tables = self.paths.nbytes + self.part_files.nbytes
        return tables + sum(array.nbytes for array in self._arrays())

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
        per_image = ("frames", "sizes", "parts")
        return replace(
            self,
            paths=self.paths.select(rows),
            starts=starts,
            **{name: getattr(self, name)[boxes] for name in per_box},
            **{name: getattr(self, name)[rows] for name in per_image},
        )

    def _arrays(self) -> list[np.ndarray]:
        values = (getattr(self, entry.name) for entry in fields(self))
        return [value for value in values if isinstance(value, np.ndarray)]


@dataclass
class Boxes:
    """Boxes of the images of a sequence, those of an image together.

    Attributes:
        counts: (n,) boxes of each image.
        boxes: (m, 4) xyxy.
        labels: (m,) index of the class.
        identities: (m,) any numbers; negative ones are no identity.
        ignored: (m,) mask; None if none is.
        lines: (m,) line of the annotation file; None without lines.
    """

    counts: np.ndarray
    boxes: np.ndarray
    labels: np.ndarray
    identities: np.ndarray
    ignored: np.ndarray | None = None
    lines: np.ndarray | None = None


@dataclass
class RecordsBuilder:
    """Joins sequences to :class:`FrameRecords` and numbers their identities.

    Attributes:
        normalized: Whether boxes are shares of the image.
        num_ids: Number of identities so far.
    """

    normalized: bool = False
    num_ids: int = 0
    _paths: list[str] = field(default_factory=list)
    _files: list[str] = field(default_factory=list)
    _columns: dict[str, list[np.ndarray]] = field(default_factory=dict)

    def add(
        self,
        paths: Sequence[str],
        boxes: Boxes,
        part_file: str,
        size: tuple[int, int] | np.ndarray = (0, 0),
        frames: Sequence[int] | None = None,
    ) -> None:
        """Add a sequence; its identities are others than those before.

        Args:
            paths: n image files, or n times the video file.
            boxes: Their boxes.
            part_file: The annotation file.
            size: Width and height of the images, or (n, 2).
            frames: n frames of the video, from 0.
        """
        count, total = len(paths), len(boxes.boxes)
        has_identity = boxes.identities >= 0
        if boxes.ignored is not None:
            has_identity &= ~boxes.ignored
        identities = np.full(total, NO_IDENTITY, np.int32)
        numbers, ranks = np.unique(boxes.identities[has_identity], return_inverse=True)
        identities[has_identity] = ranks + self.num_ids
        self.num_ids += len(numbers)
        kind = np.float64 if self.normalized else np.float32
        columns = dict(
            counts=np.asarray(boxes.counts, np.int64),
            boxes=np.asarray(boxes.boxes).astype(kind).reshape(-1, 4),
            labels=boxes.labels.astype(np.int32),
            identities=identities,
            ignored=_or_zeros(boxes.ignored, total, bool),
            lines=_or_zeros(boxes.lines, total, np.int32),
            frames=np.full(count, NO_FRAME, np.int32)
            if frames is None
            else np.asarray(frames, np.int32),
            sizes=np.broadcast_to(np.asarray(size, np.int32), (count, 2)),
            parts=np.full(count, len(self._files), np.int32),
        )
        for name, column in columns.items():
            self._columns.setdefault(name, []).append(column)
        self._paths.extend(paths)
        self._files.append(str(part_file))

    def finish(self) -> FrameRecords:
        """The records of all sequences in the order they were added.

        Raises:
            ValueError: There is no sequence.
        """
        if not self._files:
            raise ValueError("no annotated sequence")
        columns = {name: np.concatenate(c) for name, c in self._columns.items()}
        self._columns.clear()
        starts = np.concatenate(([0], np.cumsum(columns.pop("counts"))))
        return FrameRecords(
            paths=StringTable(self._paths),
            starts=starts,
            part_files=StringTable(self._files),
            normalized=self.normalized,
            **columns,
        )


def _or_zeros(values: np.ndarray | None, length: int, kind: type) -> np.ndarray:
    return np.zeros(length, kind) if values is None else values.astype(kind)
