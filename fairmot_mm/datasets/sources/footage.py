import csv
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from fairmot_mm.formats.annotation_errors import AnnotationError, ErrorSink
from fairmot_mm.formats.boxes import xywh_to_xyxy
from fairmot_mm.formats.images import frame_images
from fairmot_mm.formats.tables import parse_number, read_lines, read_table
from fairmot_mm.formats.video_file import VideoFile
from fairmot_mm.registry import DATASETS

from ..annotated_sequence import AnnotatedSequence, BoxRow, BoxTable, ClassNames
from ..frame_dataset import FrameDataset
from ..frame_records import FrameRecords

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

    Frames are counted from 1; images whose names are all numbers have these numbers.

    Args:
        ann_file: The file of boxes, relative to ``data_root``.
        frames: The folder or the video, relative to ``data_root``.
        data_root: Folder of the footage.
        annotated_only: Train only on frames that have boxes; without, the others are
            taken to show nobody.
        share: From where to where frames are used, in shares of the footage; the others
            may validate the training.

    Raises:
        ValueError: There is no frame in the share. See also :class:`FrameDataset`.
    """

    def __init__(
        self,
        ann_file: str,
        frames: str,
        data_root: str = "",
        annotated_only: bool = False,
        share: tuple[float, float] = (0.0, 1.0),
        **kwargs: Any,
    ) -> None:
        self.frames = Path(data_root) / frames
        self.annotated_only = annotated_only
        self.share = share
        super().__init__(ann_file=ann_file, data_root=data_root, **kwargs)

    def read_sequences(self, errors: ErrorSink) -> Iterator[AnnotatedSequence]:
        """Read the boxes and find their frames."""
        path = Path(self.ann_file)
        if not path.is_file():
            raise FileNotFoundError(f"{path}: no such file of boxes; check ann_file")
        is_video = not self.frames.is_dir()
        if is_video:
            video = VideoFile(str(self.frames))
            images, numbers = [video.path] * len(video), np.arange(1, len(video) + 1)
        else:
            images, numbers = frame_images(self.frames)
        lines = read_lines(path)
        if not lines:
            raise ValueError(f"{path}: empty; expected a line per box")
        if all(_is_number(cell) for cell in lines[0][1].strip(" ,\r").split(",")):
            boxes, class_names = self._read_mot(path, errors)
        else:
            names = (Path(image).name for image in images)
            by_name = dict(zip(names, numbers.tolist(), strict=True))
            boxes, class_names = self._read_csv(path, by_name, errors)
        first, last = (round(share * len(images)) for share in self.share)
        used = numbers[first:last]
        if not (first >= 0 and last <= len(images) and len(used)):
            raise ValueError(
                f"{self.frames}: share={self.share} of {len(images)} frames: expected "
                "two numbers from 0 to 1, ascending, with a frame between them"
            )
        others = np.isin(boxes.frames, numbers) & ~np.isin(boxes.frames, used)
        yield AnnotatedSequence(
            self.ann_file,
            images[first:last],
            boxes.select(self.leave_out({"in another share": others})),
            class_names,
            errors,
            numbers=used,
            first_frame=first if is_video else None,
            sizes=video.size if is_video else (0, 0),
        )

    def _read(self, errors: ErrorSink) -> FrameRecords:
        records = super()._read(errors)
        if self.annotated_only:
            empty = np.diff(records.starts) == 0
            filled = self.leave_out({"images without boxes": empty})
            records = records.select(np.flatnonzero(filled))
        return records

    def _read_mot(self, path: Path, errors: ErrorSink) -> tuple[BoxTable, ClassNames]:
        """Boxes of MOTChallenge text; its classes count from 1."""
        table = read_table(path, 6, errors)
        values = table.values
        classes = np.ones(len(values))
        if values.shape[1] in (8, 9):
            classes = np.where(values[:, 7] == -1, 1, values[:, 7])
        corners = xywh_to_xyxy(values[:, 2:6])
        boxes = BoxTable(values[:, 0], corners, classes, values[:, 1], table.lines)
        if values.shape[1] > 6:
            boxes = boxes.select(self.leave_out({"marked 0": values[:, 6] == 0}))
        return boxes, dict(enumerate(self._classes, 1))

    def _read_csv(
        self, path: Path, by_name: dict[str, int], errors: ErrorSink
    ) -> tuple[BoxTable, ClassNames]:
        """Boxes of a CSV whose first line names the columns."""
        rows = []
        with path.open(encoding="utf-8-sig", errors="replace", newline="") as file:
            reader = csv.reader(file, skipinitialspace=True)
            header = [name.strip().lower() for name in next(reader)]
            sides = _WIDTH_HEIGHT if set(_WIDTH_HEIGHT) <= set(header) else _CORNERS
            self._check_header(path, header, sides)
            for cells in reader:
                if not any(cell.strip() for cell in cells):
                    continue
                try:
                    row = self._parse_row(header, cells, sides, by_name)
                    rows.append(row._replace(line=reader.line_num))
                except ValueError as error:
                    line = reader.line_num
                    errors(AnnotationError("malformed line", path, line, str(error)))
        boxes = BoxTable.of_rows(rows)
        if sides == _WIDTH_HEIGHT:
            boxes.corners = xywh_to_xyxy(boxes.corners)
        # Classes that are not asked for need not be known.
        names = {*self._classes, *(str(row.category) for row in rows)}
        return boxes, {name: name for name in names}

    def _check_header(
        self, path: Path, header: list[str], sides: tuple[str, ...]
    ) -> None:
        needed = ["image" if "image" in header else "frame", *sides]
        if set(header) - {"frame", "image", "class", *_WIDTH_HEIGHT, *_CORNERS}:
            needed.append("id")  # which may be the one that is written otherwise
        if len(self._classes) > 1:
            needed.append("class")
        missing = [name for name in needed if name not in header]
        if missing or len(set(header)) != len(header):
            raise ValueError(
                f"{path}:1: columns {', '.join(header)}: missing or twice "
                f"{', '.join(missing) or 'a name'}; known are {_NAMED}"
            )

    def _parse_row(
        self,
        header: list[str],
        cells: list[str],
        sides: tuple[str, ...],
        by_name: dict[str, int],
    ) -> BoxRow:
        if any("\ufffd" in cell for cell in cells):
            raise ValueError("not UTF-8 text, expected text")
        if any('"' in cell for cell in cells):
            raise ValueError("a quotation mark within a cell, expected none")
        if len(cells) != len(header):
            raise ValueError(f"{len(cells)} columns, expected {len(header)}")
        cell = {n: c.strip() for n, c in zip(header, cells, strict=True)}
        if "image" not in cell:
            frame = _number(cell, "frame")
        elif cell["image"] in by_name:
            frame = by_name[cell["image"]]
        else:
            raise ValueError(f"no image {cell['image']!r} in {self.frames}")
        return BoxRow(
            frame=frame,
            corners=[_number(cell, name) for name in sides],
            # A single class needs no column.
            category=cell.get("class", self._classes[0]),
            identity=_number(cell, "id") if cell.get("id") else -1,
        )


def _is_number(text: str) -> bool:
    try:
        parse_number(text)
    except ValueError:
        return False
    return True


def _number(cell: dict[str, str], name: str) -> float:
    value = float(cell[name]) if _is_number(cell[name]) else math.nan
    if not math.isfinite(value):
        raise ValueError(f"{name} is {cell[name]!r}, expected a number")
    return value
