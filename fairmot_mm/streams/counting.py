"""Tracks counted at lines and in zones, by ``supervision``."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, NamedTuple

import cv2
import numpy as np
from mmengine.structures import InstanceData

from .appending import FrameFile
from .frame import Frame
from .records import csv_lines
from .wall_clock import WallClock, iso_time

if TYPE_CHECKING:  # an extra, imported when it is first used
    import supervision as sv

Point = tuple[float, float]

# Beyond the largest image; a zone's mask takes a byte for each pixel up to its corner.
_FARTHEST = 16384
# Frames on the other side of a line that make a crossing, so that the foot point of
# somebody who stands on the line is not counted with every tremor.
_STEADY_FRAMES = 3
_COUNTS = ("in", "out", "present", "visitors")
_COLUMNS = ("kind", "name", "class", *_COUNTS, "dwell_mean", "dwell_max")


class Line(NamedTuple):
    """A line that tracks cross.

    Seen from the start to the end, "in" is a crossing from right to left: upwards in
    the image for a line from left to right.

    Attributes:
        name: Its name.
        start: x and y in pixels of the frame.
        end: The same.
    """

    name: str
    start: Point
    end: Point


class Zone(NamedTuple):
    """A part of the image in which tracks are.

    Attributes:
        name: Its name.
        corners: x and y of at least three corners, in pixels of the frame.
    """

    name: str
    corners: tuple[Point, ...]


def parse_line(text: str) -> Line:
    """A line from ``NAME=X1,Y1,X2,Y2``, for example ``door=100,400,800,400``.

    Raises:
        ValueError: It is none.
    """
    name, points = _parse(text, "line", "door=100,400,800,400")
    if len(points) != 2 or points[0] == points[1]:
        raise ValueError(
            f"line {text!r}: expected two points that differ, X1,Y1,X2,Y2, found "
            f"{len(points)}{' that are the same' if len(points) == 2 else ''}"
        )
    return Line(name, *points)


def parse_zone(text: str) -> Zone:
    """A zone from ``NAME=X1,Y1,X2,Y2,X3,Y3,...``.

    Raises:
        ValueError: It is none, or encloses nothing.
    """
    name, points = _parse(text, "zone", "queue=0,0,200,0,200,300,0,300")
    if len(points) < 3:
        raise ValueError(
            f"zone {text!r}: expected 3 or more corners, found {len(points)}"
        )
    if cv2.contourArea(np.array(points, np.float32)) == 0:
        raise ValueError(
            f"zone {text!r}: its corners enclose no area; give them in their order "
            "around the zone"
        )
    if any(max(values) < 0 for values in zip(*points, strict=True)):
        raise ValueError(f"zone {text!r}: it lies outside of the image")
    return Zone(name, tuple(points))


def _parse(text: str, kind: str, example: str) -> tuple[str, list[Point]]:
    name, _, numbers = text.partition("=")
    if not name.strip() or not numbers.strip():
        raise ValueError(f"{kind} {text!r}: expected a name and points, as {example}")
    values = []
    for number in numbers.split(","):
        try:
            values.append(float(number))
        except ValueError:
            values.append(math.nan)
        if not abs(values[-1]) <= _FARTHEST:
            raise ValueError(
                f"{kind} {text!r}: {number.strip()!r} is no coordinate; expected "
                f"pixels, at most {_FARTHEST}"
            )
    if len(values) % 2:
        raise ValueError(
            f"{kind} {text!r}: expected pairs of x and y, found {len(values)} numbers"
        )
    return name.strip(), list(zip(values[::2], values[1::2], strict=True))


def to_supervision(tracks: InstanceData) -> sv.Detections:
    """Tracks (N) as detections of ``supervision``, whose tools then take them.

    Raises:
        ImportError: supervision is not installed.
    """
    tracks = tracks.numpy()
    return _detections(tracks.bboxes, tracks.labels, tracks.instances_id, tracks.scores)


def _detections(
    boxes: np.ndarray | list[np.ndarray],
    labels: np.ndarray | list[int],
    identities: np.ndarray | list[int],
    scores: np.ndarray | None = None,
) -> sv.Detections:
    return _supervision().Detections(
        xyxy=np.asarray(boxes, np.float32).reshape(-1, 4),
        confidence=scores,
        class_id=np.asarray(labels, np.int64),
        tracker_id=np.asarray(identities, np.int64),
    )


class _Seen(NamedTuple):
    """Where and when a track was last seen."""

    box: np.ndarray
    label: int
    time: float


class _Visit(NamedTuple):
    """Since when a track is in a zone, and when it was last seen there."""

    begin: float
    last: float


class _CountedLine:
    def __init__(self, line: Line) -> None:
        sv = _supervision()
        self.name = line.name
        self.zone = sv.LineZone(
            sv.Point(*line.start),
            sv.Point(*line.end),
            # The foot point, as of zones: in a door, no box is ever seen on one side.
            triggering_anchors=[sv.Position.BOTTOM_CENTER],
            minimum_crossing_threshold=_STEADY_FRAMES,
        )

    def update(self, held: sv.Detections) -> None:
        self.zone.trigger(held)

    def forget_tracks(self) -> None:
        # LineZone forgets a track that is absent from so many frames.
        for _ in range(self.zone.crossing_history_length):
            self.zone.trigger(_supervision().Detections.empty())

    def counts(self, class_names: Sequence[str]) -> list[dict]:
        entered = self.zone.in_count_per_class
        left = self.zone.out_count_per_class
        return [
            _row("line", self.name, name, entered.get(i, 0), left.get(i, 0))
            for i, name in enumerate(class_names)
        ]


class _CountedZone:
    def __init__(self, zone: Zone) -> None:
        self.name = zone.name
        corners = np.rint(zone.corners).astype(int)
        self.zone = _supervision().PolygonZone(corners)
        self.visitors, self._longest, self._ended = 0, 0.0, 0.0
        self._visits: dict[int, _Visit] = {}

    def update(
        self, seen: sv.Detections, identities: np.ndarray, time: float, patience: float
    ) -> None:
        for track in identities[self.zone.trigger(seen)].tolist():
            if track not in self._visits:
                self.visitors += 1
            begin = self._visits[track].begin if track in self._visits else time
            self._visits[track] = _Visit(begin, time)
            self._longest = max(self._longest, time - begin)
        for track, visit in list(self._visits.items()):
            if visit.last < time - patience:
                self._end(track)

    def forget_tracks(self) -> None:
        for track in list(self._visits):
            self._end(track)

    def counts(self) -> list[dict]:
        running = sum(visit.last - visit.begin for visit in self._visits.values())
        mean = (self._ended + running) / max(self.visitors, 1)
        present, dwell = self.zone.current_count, (mean, self._longest)
        rounded = [round(seconds, 3) for seconds in dwell]
        counts = (None, None, present, self.visitors, *rounded)
        return [_row("zone", self.name, "", *counts)]

    def _end(self, track: int) -> None:
        visit = self._visits.pop(track)
        self._ended += visit.last - visit.begin


def _row(kind: str, name: str, class_name: str, *values: float | None) -> dict:
    values += (None,) * (len(_COLUMNS) - 3 - len(values))
    return dict(zip(_COLUMNS, (kind, name, class_name, *values), strict=True))


class Counter:
    """Counts the tracks of one stream that cross lines and visit zones.

    A track is where the middle of its box's lower edge is. It has crossed a line when
    it stays on the other side for three frames. A visit of a zone lasts from the first
    frame in it to the last one.

    A track that is missing counts at lines as where it was last seen, and one that is
    outside of a zone or missing continues its visit if it is back in time; after
    ``patience`` seconds it is forgotten, so memory is bounded by the tracks of that
    time.

    Args:
        lines: Lines to count at.
        zones: Zones to count in.
        class_names: Names of the labels.
        patience: In seconds of the stream, about as long as the tracker keeps lost
            tracks.

    Raises:
        ImportError: supervision is not installed.
        ValueError: Two lines or zones have the same name.
    """

    def __init__(
        self,
        lines: Sequence[Line],
        zones: Sequence[Zone],
        class_names: Sequence[str],
        patience: float = 1.0,
    ) -> None:
        names = [line.name for line in lines] + [zone.name for zone in zones]
        if repeated := {name for name in names if names.count(name) > 1}:
            raise ValueError(
                f"{', '.join(sorted(repeated))}: two lines or zones have this name; "
                "give each its own"
            )
        self.class_names, self.patience = class_names, patience
        self._lines = [_CountedLine(line) for line in lines]
        self._zones = [_CountedZone(zone) for zone in zones]
        self._seen: dict[int, _Seen] = {}

    def update(self, frame: Frame, tracks: InstanceData) -> None:
        """Count the tracks of the next frame."""
        seen, time = to_supervision(tracks), frame.time
        tracks = tracks.numpy()
        for i, track in enumerate(tracks.instances_id.tolist()):
            self._seen[track] = _Seen(tracks.bboxes[i], int(tracks.labels[i]), time)
        for track, last in list(self._seen.items()):
            if last.time < time - self.patience:
                del self._seen[track]
        boxes = [last.box for last in self._seen.values()]
        labels = [last.label for last in self._seen.values()]
        held = _detections(boxes, labels, list(self._seen))
        for line in self._lines:
            line.update(held)
        for zone in self._zones:
            zone.update(seen, tracks.instances_id, time, self.patience)

    def forget_tracks(self) -> None:
        """To be called when identities start anew, with another tracker."""
        self._seen.clear()
        for line in self._lines:
            line.forget_tracks()
        for zone in self._zones:
            zone.forget_tracks()

    def counts(self) -> list[dict]:
        """Counts so far: a row for each class of each line, and for each zone.

        Each has ``kind`` (line or zone), ``name``, ``class`` (empty for zones); for a
        line ``in`` and ``out``; for a zone ``present`` (in the last frame),
        ``visitors`` (visits so far) and ``dwell_mean`` and ``dwell_max`` of all visits,
        also of those that go on, in seconds. What is not counted is None.
        """
        rows = [row for line in self._lines for row in line.counts(self.class_names)]
        return rows + [row for zone in self._zones for row in zone.counts()]

    def draw(self, image: np.ndarray) -> np.ndarray:
        """Draw lines and zones with their counts on a copy of an image (H, W, 3)."""
        sv = _supervision()
        image, size = image.copy(), image.shape[1::-1]
        scale = sv.calculate_optimal_text_scale(size)
        width = sv.calculate_optimal_line_thickness(size)
        for zone in self._zones:
            annotator = sv.PolygonZoneAnnotator(
                zone.zone, thickness=width, text_scale=scale
            )
            label = f"{zone.name}: {zone.zone.current_count} of {zone.visitors}"
            image = annotator.annotate(image, label)
        for line in self._lines:
            annotator = sv.LineZoneAnnotator(
                thickness=width,
                text_scale=scale,
                text_thickness=1,
                custom_in_text=f"{line.name} in",
                custom_out_text=f"{line.name} out",
            )
            image = annotator.annotate(image, line.zone)
        return image


class CountsSink:
    """Writes counts over time to a CSV file; see :class:`FrameFile`.

    The columns are ``time`` in seconds since the stream's first frame, ``wall_clock``
    and those of :meth:`Counter.counts`. Each row stands once at the beginning, then
    whenever its counts change, and once at the end with the last times in zones.

    Args:
        path: The file; its folder is created.
        counter: Updated before each frame is written.
        clock: Date and time of the frames; when they arrived if None.
    """

    def __init__(
        self, path: str | Path, counter: Counter, clock: WallClock | None = None
    ) -> None:
        self._file, self._counter = FrameFile(path), counter
        self._clock = clock or WallClock()
        self._file.append(csv_lines([("time", "wall_clock", *_COLUMNS)]))
        self._written: dict[tuple, list] = {}
        self._stamp = 0.0, ""  # of the last frame
        self._last: list[dict] = []  # its counts: the counter may be a frame ahead

    def write(self, frame: Frame, tracks: InstanceData) -> None:
        """Append the counts that this frame has changed.

        Raises:
            OSError: See :meth:`FrameFile.append`.
        """
        changed = []
        self._last = self._counter.counts()
        for row in self._last:
            key, counts = (row["kind"], row["name"], row["class"]), _counts(row)
            if self._written.get(key) != counts:
                changed.append(row)
                self._written[key] = counts
        self._stamp = round(frame.time, 3), iso_time(self._clock.at(frame))
        self._append(changed)

    def close(self) -> None:
        """Append the last frame's counts and close the file.

        Raises:
            OSError: See :meth:`FrameFile.append`.
        """
        try:
            self._append(self._last)
        finally:
            self._file.close()

    def _append(self, rows: list[dict]) -> None:
        if rows:
            lines = [(*self._stamp, *row.values()) for row in rows]
            self._file.append(csv_lines(lines))


def _counts(row: dict) -> list:
    return [row[name] for name in _COUNTS]


def _supervision() -> ModuleType:
    try:
        import supervision
    except ImportError as error:
        raise ImportError(
            "counting needs supervision: pip install 'fairmot_mm[cameras]'"
        ) from error
    return supervision
