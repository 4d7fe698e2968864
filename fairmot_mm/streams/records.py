"""Tracks as records: CSV, JSON lines, Parquet; one for each box.

All have the columns of :class:`TrackRecords`.
"""

import csv
import io
import json
import time
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from mmengine.structures import InstanceData

from fairmot_mm.formats.boxes import xyxy_to_xywh
from fairmot_mm.formats.writing import write_file

from .appending import FrameFile
from .frame import Frame
from .wall_clock import WallClock, iso_time

COLUMNS = (
    *("stream", "frame", "time", "wall_clock", "track", "class"),
    *("x", "y", "w", "h", "score"),
)


class TrackRecords:
    """What a file of records says about each box.

    ``stream``; ``frame`` (from 1); ``time`` in seconds since the stream's first frame;
    ``wall_clock``, date and time in UTC; ``track``; ``class``, its name; ``x``, ``y``,
    ``w``, ``h`` in pixels of the frame; ``score``; and ``embedding`` if asked for.

    Args:
        stream: Name of the stream.
        class_names: Names of the labels.
        start: See :class:`WallClock`.
        with_embeddings: Whether records have the embedding.
    """

    def __init__(
        self,
        stream: str,
        class_names: Sequence[str],
        start: datetime | None = None,
        with_embeddings: bool = False,
    ) -> None:
        self.stream, self.class_names = stream, class_names
        self.with_embeddings = with_embeddings
        self._clock = WallClock(start)

    def of(self, frame: Frame, tracks: InstanceData) -> list[dict[str, Any]]:
        """Records of a frame, sorted by track; ``wall_clock`` is a datetime.

        Raises:
            ValueError: Embeddings are asked for, and the tracks have none.
        """
        if len(tracks) == 0:
            return []
        if self.with_embeddings and "embeddings" not in tracks:
            raise ValueError(
                f"stream {self.stream}: its tracks have no embeddings; write records "
                "without them, or use a model that gives them with its tracks"
            )
        tracks, wall_clock = tracks.numpy(), self._clock.at(frame)
        boxes = xyxy_to_xywh(tracks.bboxes.astype(np.float64)).round(3).tolist()
        records = []
        for i in np.argsort(tracks.instances_id, kind="stable").tolist():
            values = (
                *(self.stream, frame.number + 1, round(frame.time, 3), wall_clock),
                *(int(tracks.instances_id[i]), self.class_names[tracks.labels[i]]),
                *(*boxes[i], round(float(tracks.scores[i]), 4)),
            )
            records.append(dict(zip(COLUMNS, values, strict=True)))
            if self.with_embeddings:
                records[-1]["embedding"] = tracks.embeddings[i].astype(np.float16)
        return records


class CsvSink:
    """Writes records to a CSV file, frame by frame; see :class:`FrameFile`.

    Args:
        path: The file.
        records: What to write.

    Raises:
        ValueError: Embeddings are asked for.
    """

    def __init__(self, path: str | Path, records: TrackRecords) -> None:
        if records.with_embeddings:
            raise ValueError(f"{path}: a CSV file has no embeddings; write .jsonl")
        self._records, self._file = records, FrameFile(path)
        self._file.append(csv_lines([COLUMNS]))

    def write(self, frame: Frame, tracks: InstanceData) -> None:
        """Append the tracks of a frame.

        Raises:
            OSError: See :meth:`FrameFile.append`.
        """
        records = self._records.of(frame, tracks)
        for record in records:
            record["wall_clock"] = iso_time(record["wall_clock"])
        self._file.append(csv_lines([tuple(record.values()) for record in records]))

    def close(self) -> None:
        """Close the file."""
        self._file.close()


class JsonLinesSink:
    """Writes records as JSON objects, a line each; see :class:`FrameFile`.

    Args:
        path: The file.
        records: What to write.
    """

    def __init__(self, path: str | Path, records: TrackRecords) -> None:
        self._records, self._file = records, FrameFile(path)

    def write(self, frame: Frame, tracks: InstanceData) -> None:
        """Append the tracks of a frame.

        Raises:
            OSError: See :meth:`FrameFile.append`.
            ValueError: See :meth:`TrackRecords.of`.
        """
        lines = []
        for record in self._records.of(frame, tracks):
            record["wall_clock"] = iso_time(record["wall_clock"])
            if "embedding" in record:
                values = record["embedding"].astype(np.float64)
                record["embedding"] = values.round(5).tolist()
            lines.append(json.dumps(record, ensure_ascii=False) + "\n")
        self._file.append("".join(lines))

    def close(self) -> None:
        """Close the file."""
        self._file.close()


class ParquetSink:
    """Writes records to small Parquet files: ``NAME-000001.parquet`` and so on.

    A Parquet file can be read once its end is written. So records wait in memory until
    they make a file, which appears whole under its name. A kill loses the records that
    wait: those of the last ``seconds`` at most. Files that are there already stay; the
    numbers go on after them. Embeddings are lists in half precision.

    Args:
        path: ``NAME.parquet``; its folder is created.
        records: What to write.
        seconds: Time after which the records that wait become a file.

    Raises:
        ImportError: pyarrow is not installed.
    """

    _MOST_ROWS = 100_000  # 25 MB of embeddings of 128 values

    def __init__(
        self, path: str | Path, records: TrackRecords, seconds: float = 60
    ) -> None:
        pa = import_pyarrow()
        self.path, self.seconds = Path(path), seconds
        self._records = records
        self._schema = pa.schema(parquet_types(records.with_embeddings).items())
        self._waiting: list[dict[str, Any]] = []
        self._since = time.monotonic()
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._number = _last_number(self.path)

    def write(self, frame: Frame, tracks: InstanceData) -> None:
        """Add the tracks of a frame.

        Raises:
            OSError: A file cannot be written, for example because the disk is full; its
                records are lost.
            ValueError: See :meth:`TrackRecords.of`.
        """
        records = self._records.of(frame, tracks)
        if not self._waiting:
            self._since = time.monotonic()
        self._waiting += records
        age = time.monotonic() - self._since
        if age >= self.seconds or len(self._waiting) >= self._MOST_ROWS:
            self._write_file()

    def close(self) -> None:
        """Write the records that wait.

        Raises:
            OSError: See :meth:`write`.
        """
        self._write_file()

    def _write_file(self) -> None:
        from pyarrow import parquet

        pa = import_pyarrow()

        # Let go first: while the disk is full, they would fill the memory.
        records, self._waiting = self._waiting, []
        if not records:
            return
        table = pa.Table.from_pylist(records, schema=self._schema)
        data = pa.BufferOutputStream()
        parquet.write_table(table, data, compression="zstd")
        self._number += 1
        name = f"{self.path.stem}-{self._number:06d}{self.path.suffix}"
        write_file(self.path.with_name(name), data.getvalue().to_pybytes())


def import_pyarrow() -> ModuleType:
    """The package that writes Parquet files.

    Raises:
        ImportError: It is not installed.
    """
    try:
        import pyarrow
    except ImportError as error:
        raise ImportError(
            "Parquet files need pyarrow: pip install 'fairmot_mm[cameras]'"
        ) from error
    return pyarrow


def parquet_types(with_embeddings: bool) -> dict[str, Any]:
    """Types of the columns in Parquet files, for pyarrow."""
    pa = import_pyarrow()
    text, number, integer = pa.string(), pa.float32(), pa.int64()
    types = dict.fromkeys(COLUMNS, number)
    types |= {"time": pa.float64(), "wall_clock": pa.timestamp("ms", tz="UTC")}
    types |= {"stream": text, "class": text, "frame": integer, "track": integer}
    return types | ({"embedding": pa.list_(pa.float16())} if with_embeddings else {})


def _last_number(path: Path) -> int:
    """Greatest number among the files of a :class:`ParquetSink`, or 0."""
    before = f"{path.stem}-"
    names = (file.stem for file in path.parent.glob(f"*{path.suffix}"))
    ends = (name.removeprefix(before) for name in names if name.startswith(before))
    return max((int(end) for end in ends if end.isdecimal()), default=0)


def csv_lines(rows: Sequence[Sequence[object]]) -> str:
    """Lines of a CSV file."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()
