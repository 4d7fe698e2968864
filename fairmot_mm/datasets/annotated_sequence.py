from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from fairmot_mm.formats.annotation_errors import AnnotationError, ErrorSink

from .frame_records import NO_FRAME, NO_IDENTITY, FrameRecords, StringTable

# Name of each class of a format, None for regions without a class.
ClassNames = Mapping[int, str | None] | Mapping[str, str | None]
# Counts boxes (m,) by the reasons not to keep them, and returns which are kept.
LeaveOut = Callable[[dict[str, np.ndarray]], np.ndarray]

_UNKNOWN, _UNWANTED = -2, -1  # labels
# Largest number in a box, and what is expected. float32 is exact to 0.1 up to there.
_PIXELS = 1e6, "finite numbers up to 1e+06"
_SHARES = 10, "shares of the image's width and height, from 0 to 1"
_LARGEST_INTEGER = 2**53  # past this, float64 skips whole numbers


class BoxRow(NamedTuple):
    """A row of :class:`BoxTable`, whose columns are in the same order."""

    frame: float
    corners: Sequence[float]
    category: float | str
    identity: float | str
    line: int = 0
    ignored: bool = False
    place: str = ""


@dataclass
class BoxTable:
    """Boxes as they are written."""

    frames: np.ndarray  # (m,) frame numbers
    corners: np.ndarray  # (m, 4) xyxy
    classes: np.ndarray  # (m,) the format's numbers or names
    identities: np.ndarray  # (m,) numbers, negative ones for none, or texts
    lines: np.ndarray  # (m,) line of the annotation file, or 0 where there are no lines
    ignored: np.ndarray | None = None  # (m,) mask of what is not to be learnt, if any
    places: np.ndarray | None = None  # (m,) texts that say where, without lines

    def __len__(self) -> int:
        return len(self.corners)

    @property
    def is_ignored(self) -> np.ndarray:
        """(m,) mask."""
        return np.zeros(len(self), bool) if self.ignored is None else self.ignored

    @classmethod
    def of_rows(cls, rows: Iterable[BoxRow]) -> BoxTable:
        """Table of rows, whose classes and identities are all numbers or all texts."""
        columns = list(zip(*rows, strict=True)) or [()] * len(BoxRow._fields)
        dtypes = (None, float, None, None, int, bool, object)
        table = cls(*map(np.array, columns, dtypes))
        table.corners = table.corners.reshape(-1, 4)
        return table

    def select(self, rows: np.ndarray) -> BoxTable:
        """Keep some boxes: (m,) mask, or indices."""
        if rows.dtype == bool and rows.all():
            return self
        columns = {n: c[rows] for n, c in vars(self).items() if c is not None}
        return replace(self, **columns)


@dataclass
class AnnotatedSequence:
    """A sequence as a source has parsed it; :meth:`to_records` checks the boxes."""

    annotation_file: str
    images: Sequence[str]  # n image files, or n times the video file
    boxes: BoxTable  # in any order; in pixels, or in shares of the image if normalized
    class_names: ClassNames  # the classes that the format knows
    errors: ErrorSink  # takes what is wrong with the boxes
    name: str | None = None  # that of the annotation file without its ending, if None
    numbers: np.ndarray | None = None  # (n,) of the frames, ascending; from 0 if None
    sizes: tuple[int, int] | np.ndarray = (0, 0)  # width and height, (2,) or (n, 2)
    first_frame: int | None = None  # of a video, from 0; None for image files
    normalized: bool = False  # whether boxes are shares of the image
    # annotation file of an image, where each has one of its own
    file_of_image: Callable[[str], str] | None = None

    def to_records(self, classes: Sequence[str], leave_out: LeaveOut) -> FrameRecords:
        """Check the boxes and sort them by image.

        Reported and left out are boxes whose frame has no image, which are not finite,
        have no area, or are of a class that the format does not know. Where an image
        has an identity twice, this is reported and the second box stays without one.

        Args:
            classes: Names of the classes to learn, in the order of their labels.
            leave_out: Counts boxes of other classes.

        Raises:
            ValueError: A class to learn is not one of the format's.
        """
        found = replace(self, boxes=replace(self.boxes))
        found._index_frames()
        found._check_numbers()
        found._label(classes, leave_out)
        found._check_areas()
        if (np.diff(found.boxes.frames) < 0).any():
            order = np.argsort(found.boxes.frames, kind="stable")
            found.boxes = found.boxes.select(order)
        boxes, count = found.boxes, len(self.images)
        counts = np.bincount(boxes.frames, minlength=count)
        frames = np.full(count, NO_FRAME)
        if self.first_frame is not None:
            frames = np.arange(count) + self.first_frame
        return FrameRecords(
            paths=StringTable(self.images),
            starts=np.concatenate(([0], np.cumsum(counts))),
            boxes=boxes.corners.astype(np.float64 if self.normalized else np.float32),
            labels=boxes.classes.astype(np.int32),
            identities=found._numbered_identities(),
            ignored=boxes.is_ignored.copy(),
            lines=boxes.lines.astype(np.int32),
            frames=frames.astype(np.int32),
            sizes=np.broadcast_to(np.asarray(self.sizes, np.int32), (count, 2)).copy(),
            sequence_index=np.zeros(count, np.int32),
            annotation_files=StringTable([self.annotation_file]),
            sequence_names=StringTable([self.name or Path(self.annotation_file).stem]),
            normalized=self.normalized,
        )

    def drop(self, kind: str, bad: np.ndarray, describe: Callable[[int], str]) -> None:
        """Report bad boxes (m,) and leave them out."""
        if bad.any():
            self._report(kind, np.flatnonzero(bad), describe)
            self.boxes = self.boxes.select(~bad)

    def _report(
        self, kind: str, rows: np.ndarray, describe: Callable[[int], str]
    ) -> None:
        """Report boxes (k,), in the order of the file's lines."""
        boxes = self.boxes
        if self.file_of_image is None:
            rows = rows[np.argsort(boxes.lines[rows], kind="stable")]
        for row in rows.tolist():
            file, line, text = self.annotation_file, boxes.lines[row], describe(row)
            if self.file_of_image is not None:
                file = self.file_of_image(self.images[boxes.frames[row]])
            if boxes.places is not None and not line:
                text = f"{boxes.places[row]}: {text}"
            self.errors(AnnotationError(kind, file, int(line) or None, text))

    def _index_frames(self) -> None:
        """Replace frame numbers by indices of images."""
        frames, numbers = self.boxes.frames, self.numbers
        if numbers is None:
            return
        video = self.first_frame is not None
        place = self.images[0] if video else Path(self.images[0]).parent
        images = f"no image in {place}, which has {numbers[0]} to {numbers[-1]}"
        self.drop(
            "frame outside the sequence",
            ~np.isin(frames, numbers),
            lambda i: f"frame {frames[i]:g} has {images}",
        )
        self.boxes.frames = np.searchsorted(numbers, self.boxes.frames)

    def _check_numbers(self) -> None:
        """Leave out boxes that are not finite, and identities that are not whole."""
        corners = self.boxes.corners
        largest, expected = _SHARES if self.normalized else _PIXELS

        def describe(row: int) -> str:
            text = ", ".join(f"{value:g}" for value in corners[row])
            return f"box with the corners {text}, expected {expected}"

        bad = ~(np.abs(corners) <= largest).all(1)  # NaN, too
        self.drop("malformed box", bad, describe)
        ids = self.boxes.identities
        if ids.dtype.kind == "f":
            self.drop(
                "bad identity",
                (ids != np.rint(ids)) | (np.abs(ids) > _LARGEST_INTEGER),
                lambda i: f"id {ids[i]:g}, expected a whole number",
            )
            self.boxes.identities = self.boxes.identities.astype(np.int64)

    def _label(self, classes: Sequence[str], leave_out: LeaveOut) -> None:
        """Replace classes by labels, and leave out those that are not to be learnt."""
        names = [name for name in self.class_names.values() if name is not None]
        if unknown := [name for name in classes if name not in names]:
            raise ValueError(
                f"{self.annotation_file}: unknown class {unknown[0]!r} in "
                f"metainfo.classes: choose from {', '.join(names)}"
            )
        written = self.boxes.classes
        labels = np.full(len(written), _UNKNOWN)
        for value, name in self.class_names.items():
            label = classes.index(name) if name in classes else _UNWANTED
            labels[written == value] = 0 if name is None else label
        expected = ", ".join(
            f"{value}" if name in (value, None) else f"{value} ({name})"
            for value, name in self.class_names.items()
        )

        def describe(row: int) -> str:
            value = written[row].item()
            text = repr(value) if isinstance(value, str) else f"{value:g}"
            return f"unknown class {text}, expected one of {expected}"

        self.boxes.classes = labels
        self.drop("unknown class", labels == _UNKNOWN, describe)
        wanted = leave_out({"of other classes": self.boxes.classes == _UNWANTED})
        self.boxes = self.boxes.select(wanted)

    def _check_areas(self) -> None:
        sides = self.boxes.corners[:, 2:] - self.boxes.corners[:, :2]
        unit = "of the image" if self.normalized else "pixels"
        expected = "expected width and height above 0"
        self.drop(
            "degenerate box",
            (sides <= 0).any(1) & ~self.boxes.is_ignored,
            lambda i: f"box of {sides[i, 0]:g} x {sides[i, 1]:g} {unit}, {expected}",
        )

    def _numbered_identities(self) -> np.ndarray:
        """Identities (m,) from 0, -1 for none, each once in an image."""
        boxes = self.boxes
        known = ~boxes.is_ignored
        if boxes.identities.dtype.kind != "U":
            known &= boxes.identities >= 0
        rows = np.flatnonzero(known)
        numbers, ranks = np.unique(boxes.identities[rows], return_inverse=True)
        identities = np.full(len(boxes), NO_IDENTITY, np.int32)
        identities[rows] = ranks
        keys = boxes.frames[rows] * (len(numbers) + 1) + ranks
        _, first, inverse = np.unique(keys, return_index=True, return_inverse=True)
        earliest = np.arange(len(boxes))
        earliest[rows] = rows[first[inverse]]

        def describe(row: int) -> str:
            image = int(boxes.frames[row])
            place, line = self.images[image], boxes.lines[earliest[row]]
            if self.first_frame is not None:
                place = f"frame {image + self.first_frame + 1} of {place}"
            text = f"id {boxes.identities[row]} is twice in {place}, expected once"
            return text + (f" (first on line {line})" if line else "")

        again = np.flatnonzero(earliest != np.arange(len(boxes)))
        self._report("identity twice", again, describe)
        identities[again] = NO_IDENTITY
        return identities
