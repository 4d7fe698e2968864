"""Tracks of a video as arrays, in and out of Parquet files and result files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from io import BytesIO
from typing import TYPE_CHECKING

import numpy as np

from fairmot_mm.formats.boxes import xyxy_to_xywh

if TYPE_CHECKING:
    import pyarrow as pa
    from mmengine.structures import InstanceData

# Of videos that do not say when they began.
EPOCH = datetime.fromtimestamp(0, UTC)
_SIDES = ("x", "y", "w", "h")


@dataclass(frozen=True)
class TrackRows:
    """Tracked boxes of a video, sorted by frame, then by track.

    Attributes:
        frames: (N,) int64, from 1.
        times: (N,) float64, seconds from the video's first frame.
        tracks: (N,) int64.
        labels: (N,) int64, from 0.
        boxes: (N, 4) float32 xywh in pixels of the frame.
        scores: (N,) float32.
        embeddings: (N, D) float16; D is 0 without embeddings.
    """

    frames: np.ndarray
    times: np.ndarray
    tracks: np.ndarray
    labels: np.ndarray
    boxes: np.ndarray
    scores: np.ndarray
    embeddings: np.ndarray

    def __len__(self) -> int:
        return len(self.frames)

    def select(self, rows: np.ndarray | slice) -> TrackRows:
        """Some of the rows: a mask (N,), indices or a slice."""
        return TrackRows(**{name: x[rows] for name, x in vars(self).items()})

    def renumbered(self, tracks: np.ndarray) -> TrackRows:
        """The same boxes with other identities (N,), sorted again."""
        columns = dict(vars(self), tracks=tracks)
        return TrackRows(**columns).select(np.lexsort((tracks, self.frames)))

    def result_rows(self) -> np.ndarray:
        """Rows (N, 8) of a result file: frame, identity, xywh, score, class from 1."""
        columns = (self.frames, self.tracks, self.boxes, self.scores, self.labels + 1)
        return np.column_stack(columns).astype(float)


class RowsBuilder:
    """Collects the tracks of one frame after the other."""

    def __init__(self, with_embeddings: bool) -> None:
        self.with_embeddings = with_embeddings
        self._parts: list[TrackRows] = []

    def add(self, frame: int, time: float, tracks: InstanceData) -> None:
        """Add a frame's tracks.

        Args:
            frame: Number of the frame, from 1.
            time: Seconds from the video's first frame.
            tracks: ``bboxes`` xyxy, ``scores``, ``labels``, ``instances_id`` and, if
                there are any, ``embeddings``, on the CPU.
        """
        count = len(tracks)
        if count == 0:
            return
        tracks = tracks.numpy()
        looks = tracks.get("embeddings") if self.with_embeddings else None
        looks = np.empty((count, 0)) if looks is None else looks
        boxes = xyxy_to_xywh(tracks.bboxes.astype(np.float64).reshape(-1, 4))
        rows = TrackRows(
            np.full(count, frame, np.int64),
            np.full(count, time),
            tracks.instances_id.astype(np.int64),
            tracks.labels.astype(np.int64),
            boxes.astype(np.float32),
            tracks.scores.astype(np.float32),
            looks.astype(np.float16),
        )
        self._parts.append(rows.select(np.argsort(rows.tracks)))

    def rows(self) -> TrackRows:
        """All rows that were added."""
        return concatenate(self._parts)


def concatenate(parts: Sequence[TrackRows]) -> TrackRows:
    """Rows one after the other; none if there are no parts."""
    if not parts:
        nothing, whole = np.empty(0), np.empty(0, np.int64)
        few = nothing.astype(np.float32)
        boxes, looks = np.empty((0, 4), np.float32), np.empty((0, 0), np.float16)
        return TrackRows(whole, nothing, whole, whole, boxes, few, looks)
    width = max(part.embeddings.shape[1] for part in parts)
    columns = {}
    for field in fields(TrackRows):
        arrays = [getattr(part, field.name) for part in parts]
        if field.name == "embeddings":  # parts without a row have none
            arrays = [x if len(x) else np.empty((0, width), x.dtype) for x in arrays]
        columns[field.name] = np.concatenate(arrays)
    return TrackRows(**columns)


def to_table(
    rows: TrackRows,
    video: str,
    classes: Sequence[str],
    start: datetime | None,
    with_embeddings: bool,
) -> pa.Table:
    """A table with the columns of :class:`~fairmot_mm.streams.TrackRecords`.

    ``video`` is there in place of ``stream``.

    Args:
        rows: The tracks.
        video: Its name.
        classes: Names of the labels.
        start: When it began; :data:`EPOCH` if None.
        with_embeddings: Whether there is a column for them.
    """
    import pyarrow as pa

    from fairmot_mm.streams.records import parquet_types

    count, types = len(rows), parquet_types(with_embeddings)
    columns: dict[str, object] = dict(
        stream=pa.repeat(pa.scalar(video), count),
        frame=rows.frames,
        time=rows.times.round(3),
        wall_clock=pa.array(_wall_clock(rows, start)).cast(types["wall_clock"]),
        track=rows.tracks,
        score=rows.scores,
        **dict(zip(_SIDES, rows.boxes.T, strict=True)),
    )
    names = pa.array(classes, pa.string())
    columns["class"] = names.take(pa.array(rows.labels))
    if with_embeddings:
        flat = pa.array(rows.embeddings.ravel(), pa.float16())
        ends = np.arange(count + 1, dtype=np.int32) * rows.embeddings.shape[1]
        columns["embedding"] = pa.ListArray.from_arrays(pa.array(ends), flat)
    table = pa.table(
        {name: pa.array(columns[name], types[name]) for name in types}
        if count
        else {name: pa.array([], kind) for name, kind in types.items()}
    )
    return table.rename_columns({"stream": "video"})


def save(rows: TrackRows) -> bytes:
    """Rows as a file that :func:`load` reads, as they are."""
    file = BytesIO()
    np.savez(file, **vars(rows))
    return file.getvalue()


def load(path: str) -> TrackRows:
    """Read what :func:`save` wrote."""
    with np.load(path) as file:
        return TrackRows(**file)


def days(rows: TrackRows, start: datetime | None) -> np.ndarray:
    """(N,) the day of each row in UTC, datetime64[D]."""
    return _wall_clock(rows, start).astype("datetime64[D]")


def first_day(start: datetime | None) -> np.datetime64:
    """The day a video began, in UTC."""
    return np.datetime64((start or EPOCH).astimezone(UTC).date())


def _wall_clock(rows: TrackRows, start: datetime | None) -> np.ndarray:
    """(N,) date and time of each row in UTC, datetime64[ms]."""
    begin = (start or EPOCH).astimezone(UTC).replace(tzinfo=None)
    milliseconds = np.rint(rows.times * 1e3).astype("timedelta64[ms]")
    return np.datetime64(begin, "ms") + milliseconds
