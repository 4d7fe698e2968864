from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
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
_LARGEST_SHARE = 10  # of the image's width or height
_LARGEST_PIXEL = 1e6  # float32, in which boxes are stored, is exact to 0.1 there
_LARGEST_INTEGER = 2**53  # past this, float64 skips whole numbers


class BoxRow(NamedTuple):
    """A row of :class:`BoxTable`."""

    frame: float
    corners: Sequence[float]
    category: float | str
    identity: float | str
    ignored: bool = False
    line: int = 0
    place: str = ""


@dataclass
class BoxTable:
    """Boxes as they are written.

    Attributes:
        frames: (m,) frame numbers.
        corners: (m, 4) xyxy.
        classes: (m,) the format's numbers or names.
        identities: (m,) numbers, negative ones for none, or texts.
        ignored: (m,) mask of what is not to be learnt; None if there is no such box.
        lines: (m,) line of the annotation file, or 0 where there are no lines.
        places: (m,) texts that say where a box is written, for files without lines.
    """

    frames: np.ndarray
    corners: np.ndarray
    classes: np.ndarray
    identities: np.ndarray
    lines: np.ndarray
    ignored: np.ndarray | None = None
    places: np.ndarray | None = None

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
        frames, corners, classes, identities, ignored, lines, places = columns
        return cls(
            frames=np.array(frames),
            corners=np.array(corners, float).reshape(-1, 4),
            classes=np.array(classes),
            identities=np.array(identities),
            ignored=np.array(ignored, bool),
            lines=np.array(lines, int),
            places=np.array(places, object),
        )

    def select(self, rows: np.ndarray) -> BoxTable:
        """Keep some boxes: (m,) mask, or indices."""
        if rows.dtype == bool and rows.all():
            return self
        columns = {entry.name: getattr(self, entry.name) for entry in fields(self)}
        given = {name: c for name, c in columns.items() if c is not None}
        return replace(self, **{name: c[rows] for name, c in given.items()})


@dataclass
class AnnotatedSequence:
    """A sequence as a source has parsed it; :meth:`to_records` checks the boxes.

    Attributes:
        annotation_file: The file the boxes come from.
        images: n image files, or n times the video file.
        boxes: The boxes, in any order; in pixels, or in shares of the image if
            ``normalized``.
        class_names: The classes that the format knows.
        errors: Takes what is wrong with the boxes.
        name: Of the sequence; that of the annotation file, without its ending, if None.
        numbers: (n,) frame numbers of the images, ascending; from 0 if None.
        sizes: Width and height of the images, (2,) or (n, 2); 0 if not known.
        is_video: Whether the images are frames of a video file.
        first_frame: That of the first image, from 0.
        normalized: Whether boxes are shares of the image.
        file_of_image: Annotation file of an image, where each has one of its own.
    """

    annotation_file: str
    images: Sequence[str]
    boxes: BoxTable
    class_names: ClassNames
    errors: ErrorSink
    name: str | None = None
    numbers: np.ndarray | None = None
    sizes: tuple[int, int] | np.ndarray = (0, 0)
    is_video: bool = False
    first_frame: int = 0
    normalized: bool = False
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
        sequence = self._with_images()._with_sound_numbers()
        sequence = sequence._with_labels(classes, leave_out)._with_area()
        boxes = sequence.boxes
        if (np.diff(boxes.frames) < 0).any():
            boxes = boxes.select(np.argsort(boxes.frames, kind="stable"))
        count = len(self.images)
        counts = np.bincount(boxes.frames, minlength=count)
        frames = np.full(count, NO_FRAME)
        if self.is_video:
            frames = np.arange(count) + self.first_frame
        return FrameRecords(
            paths=StringTable(self.images),
            starts=np.concatenate(([0], np.cumsum(counts))),
            boxes=boxes.corners.astype(np.float64 if self.normalized else np.float32),
            labels=boxes.classes.astype(np.int32),
            identities=replace(self, boxes=boxes)._numbered_identities(),
            ignored=boxes.is_ignored.copy(),
            lines=boxes.lines.astype(np.int32),
            frames=frames.astype(np.int32),
            sizes=np.broadcast_to(np.asarray(self.sizes, np.int32), (count, 2)).copy(),
            sequence_index=np.zeros(count, np.int32),
            annotation_files=StringTable([self.annotation_file]),
            sequence_names=StringTable([self.name or Path(self.annotation_file).stem]),
            normalized=self.normalized,
        )

    def without(
        self, kind: str, bad: np.ndarray, describe: Callable[[int], str]
    ) -> AnnotatedSequence:
        """Report bad boxes (m,) and leave them out."""
        if not bad.any():
            return self
        self._report(kind, np.flatnonzero(bad), describe)
        return replace(self, boxes=self.boxes.select(~bad))

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

    def _with_images(self) -> AnnotatedSequence:
        """Replace frame numbers by indices of images."""
        frames, numbers = self.boxes.frames, self.numbers
        if numbers is None:
            return self
        place = self.images[0] if self.is_video else Path(self.images[0]).parent
        found = self.without(
            "frame outside the sequence",
            ~np.isin(frames, numbers),
            lambda i: (
                f"frame {frames[i]:g} has no image in {place}, which has {numbers[0]} "
                f"to {numbers[-1]}"
            ),
        )
        indices = np.searchsorted(numbers, found.boxes.frames)
        return replace(found, boxes=replace(found.boxes, frames=indices))

    def _with_sound_numbers(self) -> AnnotatedSequence:
        """Leave out boxes that are not finite, and identities that are not whole."""
        corners = self.boxes.corners
        largest = _LARGEST_SHARE if self.normalized else _LARGEST_PIXEL
        bad = ~(np.abs(corners) <= largest).all(1)  # NaN, too
        expected = f"finite numbers up to {largest:g}"
        if self.normalized:
            expected = "shares of the image's width and height, from 0 to 1"
        finite = self.without(
            "malformed box",
            bad,
            lambda i: (
                f"box with the corners {', '.join(f'{v:g}' for v in corners[i])}, "
                f"expected {expected}"
            ),
        )
        ids = finite.boxes.identities
        if ids.dtype.kind != "f":
            return finite
        whole = finite.without(
            "bad identity",
            (ids != np.rint(ids)) | (np.abs(ids) > _LARGEST_INTEGER),
            lambda i: f"id {ids[i]:g}, expected a whole number",
        )
        ids = whole.boxes.identities.astype(np.int64)
        return replace(whole, boxes=replace(whole.boxes, identities=ids))

    def _with_labels(
        self, classes: Sequence[str], leave_out: LeaveOut
    ) -> AnnotatedSequence:
        """Replace classes by labels, and leave out those that are not to be learnt."""
        names = [name for name in self.class_names.values() if name is not None]
        unknown = [name for name in classes if name not in names]
        if unknown:
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

        found = replace(self, boxes=replace(self.boxes, classes=labels)).without(
            "unknown class", labels == _UNKNOWN, describe
        )
        wanted = leave_out({"of other classes": found.boxes.classes == _UNWANTED})
        return replace(found, boxes=found.boxes.select(wanted))

    def _with_area(self) -> AnnotatedSequence:
        sides = self.boxes.corners[:, 2:] - self.boxes.corners[:, :2]
        unit = "of the image" if self.normalized else "pixels"
        return self.without(
            "degenerate box",
            (sides <= 0).any(1) & ~self.boxes.is_ignored,
            lambda i: (
                f"box of {sides[i, 0]:g} x {sides[i, 1]:g} {unit}, expected width and "
                "height above 0"
            ),
        )

    def _numbered_identities(self) -> np.ndarray:
        """Identities (m,) from 0, -1 for none, each once in an image."""
        boxes = self.boxes
        identified = ~boxes.is_ignored
        if boxes.identities.dtype.kind != "U":
            identified &= boxes.identities >= 0
        rows = np.flatnonzero(identified)
        numbers, ranks = np.unique(boxes.identities[rows], return_inverse=True)
        identities = np.full(len(boxes), NO_IDENTITY, np.int32)
        identities[rows] = ranks
        keys = boxes.frames[rows] * (len(numbers) + 1) + ranks
        order = np.argsort(keys, kind="stable")
        same = keys[order[1:]] == keys[order[:-1]]
        again, before = rows[order[1:][same]], rows[order[:-1][same]]
        earlier = dict(zip(again.tolist(), before.tolist(), strict=True))

        def describe(row: int) -> str:
            image = int(boxes.frames[row])
            frame = f"frame {image + self.first_frame + 1} of " if self.is_video else ""
            text = f"id {boxes.identities[row]} is twice in {frame}{self.images[image]}"
            line = boxes.lines[earlier[row]]
            first = f" (first on line {line})" if line else ""
            return f"{text}, expected once{first}"

        self._report("identity twice", again, describe)
        identities[again] = NO_IDENTITY
        return identities
