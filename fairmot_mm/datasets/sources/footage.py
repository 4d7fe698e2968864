from __future__ import annotations

import csv
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np

from fairmot_mm.formats.annotation_errors import report
from fairmot_mm.formats.tables import NumberTable, check_keys, read_lines, read_table
from fairmot_mm.formats.video_file import VideoFile
from fairmot_mm.registry import DATASETS

from ..frame_dataset import FrameDataset
from ..frame_records import Boxes, FrameRecords, RecordsBuilder
from .common import count_boxes, frame_images, with_images

_NAMED = "frame or image, id, x, y, w, h or x1, y1, x2, y2, class"
_WIDTH_HEIGHT = ("x", "y", "w", "h")
_CORNERS = ("x1", "y1", "x2", "y2")


@DATASETS.register_module()
class FootageFrameDataset(FrameDataset):
    """One's own footage: a folder of images or a video file, and a file of boxes.

    The boxes come as MOTChallenge text, ``frame,id,x,y,w,h`` with or without
    ``,mark,class,visibility`` (lines with mark 0 are left out, classes count from 1),
    or as CSV whose first line names the columns: ``frame`` or ``image`` (a file name),
    ``id`` (may be missing or empty), ``x,y,w,h`` or ``x1,y1,x2,y2`` and, with several
    classes, ``class`` (a name of ``metainfo.classes``, others are left out). A negative
    id is none.

    Frames are counted from 1; images whose names are all numbers are frames of that
    number.

    Args:
        ann_file (str): The file of boxes, relative to ``data_root``.
        frames (str): The folder or the video, relative to ``data_root``.
        data_root (str): Folder of the footage.
        annotated_only (bool): Train only on frames that have boxes; without, those
            that have none are taken to show nobody.
        metainfo (dict | None): ``classes`` in the order of their labels.
        **kwargs: For :class:`FrameDataset`.
    """

    def __init__(
        self,
        ann_file: str,
        frames: str,
        data_root: str = "",
        annotated_only: bool = False,
        **kwargs,
    ) -> None:
        self.frames = Path(data_root) / frames
        self.annotated_only = annotated_only
        super().__init__(ann_file=ann_file, data_root=data_root, **kwargs)

    def load_records(self) -> FrameRecords:
        """Read the boxes and find their frames."""
        if self.frames.is_dir():
            images, numbers = frame_images(self.frames)
            indices, size = None, (0, 0)
        else:
            video = VideoFile(str(self.frames))
            indices, size = np.arange(len(video)), video.size
            images, numbers = [video.path] * len(video), indices + 1
        # frame, id, x1, y1, x2, y2, label
        table = self._read(images, numbers)
        table = with_images(table, numbers, self.frames)
        wanted = table.values[:, 6] >= 0
        self.left_out["of other classes or marked 0"] += int((~wanted).sum())
        table = table.select(wanted)
        values = table.values
        builder = RecordsBuilder()
        builder.add(
            images,
            Boxes(
                counts=count_boxes(values[:, 0], numbers),
                boxes=values[:, 2:6],
                labels=values[:, 6],
                identities=values[:, 1].astype(np.int64),
                lines=table.lines,
            ),
            self.ann_file,
            size,
            indices,
        )
        records = builder.finish()
        if self.annotated_only:
            filled = np.flatnonzero(np.diff(records.starts))
            self.left_out["images without boxes"] += len(records) - len(filled)
            records = records.select(filled)
        return records

    def _read(self, images: list[str], numbers: np.ndarray) -> NumberTable:
        """The boxes, sorted by frame: frame, id, x1, y1, x2, y2, label."""
        path = Path(self.ann_file)
        if not path.is_file():
            raise FileNotFoundError(f"{path}: no such file of boxes; check ann_file")
        rows, _ = read_lines(path)
        if not rows:
            raise ValueError(f"{path}: empty; expected a line per box")
        named = not all(_is_number(cell) for cell in rows[0].strip(" ,\r").split(","))
        table = self._named(path, images, numbers) if named else self._mot(path)
        negative = table.values[:, 1] < 0
        table.values[negative, 1] = -1 - np.arange(negative.sum())  # may repeat
        table = check_keys(table, {0: "frame", 1: "id"}, length=None, first=0)
        return table.without(
            "degenerate box",
            (table.values[:, 6] >= 0)
            & (table.values[:, 2:4] >= table.values[:, 4:6]).any(1),
            lambda row: (
                f"box from {row[2]:g}, {row[3]:g} to {row[4]:g}, {row[5]:g}: expected "
                "width and height above 0"
            ),
        )

    def _mot(self, path: Path) -> NumberTable:
        """MOTChallenge text."""
        table = read_table(path, min_columns=6)
        values = table.values
        columns, count = values.shape[1], len(self._classes)
        classes = np.ones(len(values))
        if columns in (8, 9):
            classes = np.where(values[:, 7] == -1, 1, values[:, 7])
        marked = values[:, 6] != 0 if columns > 6 else np.ones(len(values), bool)
        labels = np.where(marked, classes - 1, -1)
        wrong = marked & (
            (classes < 1) | (classes > count) | (classes != np.rint(classes))
        )
        corners = values[:, 2:6] + np.pad(values[:, 2:4], ((0, 0), (2, 0)))
        values = np.column_stack((values[:, :2], corners, labels))
        return NumberTable(path, values, table.lines).without(
            "unknown class",
            wrong,
            lambda row: (
                f"class {row[6] + 1:g}, expected 1 to {count}: metainfo.classes"
            ),
        )

    def _named(self, path: Path, images: list[str], numbers: np.ndarray) -> NumberTable:
        """CSV whose first line names the columns."""
        by_name = dict(zip((Path(i).name for i in images), numbers, strict=True))
        values, lines = [], []
        with open(path, encoding="utf-8-sig", errors="replace", newline="") as file:
            reader = csv.reader(file, skipinitialspace=True)
            header = [name.strip().lower() for name in next(reader)]
            convert = self._converter(path, header, by_name)
            for cells in reader:
                if not any(cell.strip() for cell in cells):
                    continue
                try:
                    values.append(convert(cells))
                    lines.append(reader.line_num)
                except ValueError as error:
                    report("malformed line", path, reader.line_num, str(error))
        return NumberTable(
            path, np.array(values).reshape(-1, 7), np.array(lines, np.int64)
        )

    def _converter(
        self, path: Path, header: list[str], by_name: dict[str, int]
    ) -> Callable[[list[str]], list[float]]:
        """What makes a row of numbers from the cells of a line."""
        column = {name: i for i, name in enumerate(header)}
        box = _WIDTH_HEIGHT if set(_WIDTH_HEIGHT) <= set(header) else _CORNERS
        place = "image" if "image" in column else "frame"
        missing = [name for name in (place, *box) if name not in column]
        if len(self._classes) > 1 and "class" not in column:
            missing.append("class")
        if missing or len(column) != len(header):
            raise ValueError(
                f"{path}:1: columns {', '.join(header)}: missing or twice "
                f"{', '.join(missing) or 'a name'}; known are {_NAMED}"
            )
        labels = {name: label for label, name in enumerate(self._classes)}

        def convert(cells: list[str]) -> list[float]:
            if len(cells) != len(header):
                raise ValueError(f"{len(cells)} columns, expected {len(header)}")
            cell = {name: cells[i].strip() for name, i in column.items()}
            if place == "frame":
                frame = _number(cell, "frame")
            elif cell["image"] in by_name:
                frame = by_name[cell["image"]]
            else:
                raise ValueError(f"no image {cell['image']!r} in {self.frames}")
            identity = _number(cell, "id") if cell.get("id") else -1
            corners = [_number(cell, name) for name in box]
            if box is _WIDTH_HEIGHT:
                corners[2] += corners[0]
                corners[3] += corners[1]
            # A single class needs no column.
            label = labels.get(cell["class"], -1) if "class" in column else 0
            return [frame, identity, *corners, label]

        return convert


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _number(cell: dict[str, str], name: str) -> float:
    value = float(cell[name]) if _is_number(cell[name]) else math.nan
    if not math.isfinite(value):
        raise ValueError(f"{name} is {cell[name]!r}, expected a number")
    return value
