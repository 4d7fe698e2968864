from __future__ import annotations

from pathlib import Path

import numpy as np

from fairmot_mm.formats.annotation_errors import as_fault, report
from fairmot_mm.formats.tables import NumberTable, check_keys, read_lines
from fairmot_mm.registry import DATASETS

from ..frame_dataset import FrameDataset
from ..frame_records import FrameRecords, RecordsBuilder
from .common import (
    add_sequence,
    annotation_files,
    class_table,
    frame_images,
    with_images,
)

KITTI_CLASSES = (
    "Car",
    "Van",
    "Truck",
    "Pedestrian",
    "Person_sitting",
    "Cyclist",
    "Tram",
    "Misc",
)
_NUMBERS = {name: i + 1 for i, name in enumerate(KITTI_CLASSES)}
_NUMBERS |= {"Person": _NUMBERS["Person_sitting"], "DontCare": 0}
_COLUMNS = 10  # of 17; what follows the box is about three dimensions


@DATASETS.register_module()
class KITTIFrameDataset(FrameDataset):
    """KITTI tracking (Geiger et al., CVPR 2012): cars and people from a car.

    Reads ``image_02/0000/000000.png`` and ``label_02/0000.txt`` with lines ``frame id
    type truncated occluded alpha x1 y1 x2 y2 ...``, frames from 0. ``DontCare`` is in
    the record as ignored.

    Args:
        data_root (str): E.g. ``data/KITTI/training``.
        metainfo (dict | None): ``classes`` to learn, in the order of their labels;
            the default are the two that the benchmark scores.
        **kwargs: For :class:`FrameDataset`.
    """

    METAINFO = dict(classes=("Car", "Pedestrian"))  # noqa: RUF012

    def __init__(self, data_root: str, **kwargs) -> None:
        super().__init__(data_root=data_root, **kwargs)

    def load_records(self) -> FrameRecords:
        """Read all sequences."""
        labels = class_table(self._classes, KITTI_CLASSES)
        builder = RecordsBuilder()
        for path in annotation_files(Path(self.data_root) / "label_02", "*.txt"):
            with as_fault("unreadable file", path):
                folder = Path(self.data_root) / "image_02" / path.stem
                images, numbers = frame_images(folder)
                table = with_images(_read(path), numbers, folder)
                kinds = table.values[:, 2].astype(np.int64)
                boxes, ignored = table.values[:, 6:10], kinds == 0
                add_sequence(
                    *(builder, images, numbers, table, boxes, kinds, ignored),
                    *(labels, self.left_out),
                )
        return builder.finish()


def _read(path: Path) -> NumberTable:
    """The first ten columns, the type as its number."""
    rows, lines, regions = [], [], 0
    for row, line in zip(*read_lines(path), strict=True):
        cells = row.split()
        if len(cells) < _COLUMNS:
            what = f"{len(cells)} columns, expected 17 (10 at least)"
            report("malformed line", path, line, what)
            continue
        if cells[2] not in _NUMBERS:
            what = f"type {cells[2]!r}, expected one of {', '.join(_NUMBERS)}"
            report("unknown class", path, line, what)
            continue
        cells[2] = _NUMBERS[cells[2]]
        if cells[2] == 0:
            regions += 1
            cells[1] = -regions  # regions are all numbered -1
        try:
            rows.append([float(cell) for cell in cells[:_COLUMNS]])
            lines.append(line)
        except ValueError:
            what = f"not numeric: {row.strip()!r}, expected numbers"
            report("malformed line", path, line, what)
    values = np.array(rows).reshape(-1, _COLUMNS)
    table = NumberTable(path, values, np.array(lines, np.int64)).without(
        "malformed line",
        ~np.isfinite(values).all(1),
        lambda row: "holds NaN or infinity, expected finite numbers",
    )
    table = check_keys(table, {0: "frame", 1: "id"}, length=None, first=0)
    values = table.values
    return table.without(
        "degenerate box",
        (values[:, 2] != 0) & (values[:, 6:8] >= values[:, 8:10]).any(1),
        lambda row: (
            f"box from {row[6]:g}, {row[7]:g} to {row[8]:g}, {row[9]:g}: expected "
            "width and height above 0"
        ),
    )
