"""The results of an archive: a Parquet data set, and text files on request."""

import hashlib
import os
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from fairmot_mm.formats.mot_results import result_lines

from .rows import TrackRows, concatenate, days, first_day, to_table
from .videos import Video, folder_name

TRACKS, TEXT = "tracks", "txt"
_LONGEST_NAME = 100


def file_stem(video: str) -> str:
    """The name of a video's files: readable, and no other video's."""
    digest = hashlib.sha256(video.encode()).hexdigest()[:8]
    return f"{folder_name(video)[-_LONGEST_NAME:]}-{digest}"


class ResultWriter:
    """Writes the results of one video; its files appear when all are written.

    ``tracks/camera=CAMERA/day=DAY/VIDEO.parquet`` for each day (UTC) that it shows, and
    ``txt/VIDEO.txt`` if asked for. A video without a track has a file without a row.

    Args:
        folder: Folder of the archive's results.
        video: The video.
        start: When it began; None if not known, then times count from 1970-01-01.
        classes: Names of the labels.
        with_embeddings: Whether rows have the embedding.
        with_text: Whether there is a file in MOTChallenge's format.
    """

    def __init__(
        self,
        folder: Path,
        video: Video,
        start: datetime | None,
        classes: Sequence[str],
        *,
        with_embeddings: bool = False,
        with_text: bool = False,
    ) -> None:
        self.folder, self.video, self.start = folder, video, start
        self.classes, self.with_embeddings = list(classes), with_embeddings
        self._stem = file_stem(video.name)
        self._open: dict[Path, Any] = {}
        self._text = folder / TEXT / f"{self._stem}.txt" if with_text else None
        self._tracks: set[int] = set()
        self.num_boxes = 0
        self._write_day(first_day(start), concatenate([]))
        if self._text is not None:
            self._text.parent.mkdir(parents=True, exist_ok=True)
            self._open[self._text] = _partial(self._text).open("wb")

    @property
    def num_tracks(self) -> int:
        """Number of different tracks so far."""
        return len(self._tracks)

    def write(self, rows: TrackRows) -> None:
        """Add rows, of frames after those before.

        Raises:
            OSError: They cannot be written, for example because the disk is full.
        """
        self.num_boxes += len(rows)
        self._tracks |= set(np.unique(rows.tracks).tolist())
        all_days = days(rows, self.start)
        for day in np.unique(all_days):
            self._write_day(day, rows.select(all_days == day))
        if self._text is not None:
            columns = rows.result_rows()
            classes = columns[:, 7] if len(self.classes) > 1 else None
            lines = result_lines(columns[:, :7], classes)
            self._open[self._text].write(lines.encode())

    def finish(self) -> list[str]:
        """Give the files their names; these, relative to the folder.

        Raises:
            OSError: See :meth:`write`.
        """
        for file in self._open.values():
            file.close()
        for path in self._open:
            partial = _partial(path)
            with partial.open("rb") as written:
                os.fsync(written.fileno())
        for path in self._open:
            _partial(path).replace(path)
        return [path.relative_to(self.folder).as_posix() for path in self._open]

    def discard(self) -> None:
        """Leave no file that is not finished."""
        for path, file in self._open.items():
            with suppress(OSError):  # of the error that led here, e.g. a full disk
                file.close()
            _partial(path).unlink(missing_ok=True)

    def _write_day(self, day: np.datetime64, rows: TrackRows) -> None:
        from pyarrow import parquet

        part = Path(TRACKS, f"camera={self.video.camera}", f"day={day}")
        path = self.folder / part / f"{self._stem}.parquet"
        name, embedded = self.video.name, self.with_embeddings
        table = to_table(rows, name, self.classes, self.start, embedded)
        if path not in self._open:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._open[path] = parquet.ParquetWriter(
                _partial(path), table.schema, compression="zstd"
            )
        if len(rows):
            self._open[path].write_table(table)


def _partial(path: Path) -> Path:
    return path.with_name(f".{path.name}.partial")
