from __future__ import annotations

from pathlib import Path

import numpy as np

from fairmot_mm.formats.annotation_errors import as_fault
from fairmot_mm.formats.tables import NumberTable, check_keys, read_table
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

# Category column from 1; 0 is an ignored region and 11 others.
VISDRONE_CLASSES = (
    "pedestrian",
    "people",
    "bicycle",
    "car",
    "van",
    "truck",
    "tricycle",
    "awning-tricycle",
    "bus",
    "motor",
    "others",
)
_IGNORED_REGION = 0


@DATASETS.register_module()
class VisDroneFrameDataset(FrameDataset):
    """VisDrone-MOT (Zhu et al., arXiv:2001.06303): ten classes seen from drones.

    Reads ``sequences/SEQ/0000001.jpg`` and ``annotations/SEQ.txt`` with lines
    ``frame,id,x,y,w,h,score,category,truncation,occlusion``. Ignored regions and boxes
    with score 0, which the benchmark does not consider, are in the record as ignored.

    Args:
        data_root (str): E.g. ``data/VisDrone2019-MOT-train``.
        metainfo (dict | None): ``classes`` to learn, in the order of their labels.
        **kwargs: For :class:`FrameDataset`.
    """

    METAINFO = dict(classes=VISDRONE_CLASSES[:10])  # noqa: RUF012

    def __init__(self, data_root: str, **kwargs) -> None:
        super().__init__(data_root=data_root, **kwargs)

    def load_records(self) -> FrameRecords:
        """Read all sequences."""
        labels = class_table(self._classes, VISDRONE_CLASSES)
        builder = RecordsBuilder()
        for path in annotation_files(Path(self.data_root) / "annotations", "*.txt"):
            with as_fault("unreadable file", path):
                folder = Path(self.data_root) / "sequences" / path.stem
                images, numbers = frame_images(folder)
                table = with_images(self._read(path), numbers, folder)
                category = table.values[:, 7].astype(np.int64)
                ignored = category == _IGNORED_REGION
                ignored |= table.values[:, 6] == 0
                boxes = table.values[:, 2:6].copy()
                boxes[:, 2:] += boxes[:, :2]
                add_sequence(
                    *(builder, images, numbers, table, boxes, category, ignored),
                    *(labels, self.left_out),
                )
        return builder.finish()

    @staticmethod
    def _read(path: Path) -> NumberTable:
        table = read_table(path, min_columns=8)
        integers = {0: "frame", 1: "id", 6: "score", 7: "category"}
        regions = table.values[:, 7] == _IGNORED_REGION
        # Regions have no identity; what stands there may repeat.
        table.values[regions, 1] = -1 - np.arange(regions.sum())
        table = check_keys(table, integers, length=None)
        values = table.values
        table = table.without(
            "unknown class",
            (values[:, 7] < 0) | (values[:, 7] > len(VISDRONE_CLASSES)),
            lambda row: f"category {row[7]:g}, expected 0 to {len(VISDRONE_CLASSES)}",
        )
        values = table.values
        considered = (values[:, 6] != 0) & (values[:, 7] != _IGNORED_REGION)
        return table.without(
            "degenerate box",
            considered & (values[:, 4:6] <= 0).any(1),
            lambda row: (
                f"box of {row[4]:g} x {row[5]:g} pixels, expected width and height "
                "above 0"
            ),
        )
