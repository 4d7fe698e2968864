from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

from fairmot_mm.formats.annotation_errors import ErrorSink, unreadable_file
from fairmot_mm.formats.files import annotation_files
from fairmot_mm.formats.images import frame_images
from fairmot_mm.formats.tables import parse_lines, parse_numbers, read_lines
from fairmot_mm.registry import DATASETS

from ..annotated_sequence import AnnotatedSequence, BoxRow, BoxTable
from ..frame_dataset import FrameDataset

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
_IGNORED_REGION = "DontCare"
_CLASS_NAMES: dict[str, str | None] = {name: name for name in KITTI_CLASSES}
_CLASS_NAMES |= {"Person": "Person_sitting", _IGNORED_REGION: None}
_COLUMNS = 10  # of 17; those after the box are three-dimensional


@DATASETS.register_module()
class KITTIFrameDataset(FrameDataset):
    """KITTI tracking (Geiger et al., CVPR 2012): cars and people from a car.

    Reads ``image_02/0000/000000.png`` and ``label_02/0000.txt`` with lines ``frame id
    type truncated occluded alpha x1 y1 x2 y2 ...``, frames from 0. ``DontCare`` is in
    the record as ignored.

    Args:
        data_root: E.g. ``data/KITTI/training``.
        **kwargs: For :class:`FrameDataset`. The default ``classes`` are the two that
            the benchmark scores.
    """

    METAINFO: ClassVar[dict] = dict(classes=("Car", "Pedestrian"))

    def __init__(self, data_root: str, **kwargs: Any) -> None:
        super().__init__(data_root=data_root, **kwargs)

    def read_sequences(self, errors: ErrorSink) -> Iterator[AnnotatedSequence]:
        """Read the sequences."""
        root = Path(self.data_root)
        for path in annotation_files(root / "label_02", "*.txt"):
            with unreadable_file(path, errors):
                images, numbers = frame_images(root / "image_02" / path.stem)
                rows, lines = parse_lines(path, read_lines(path), _parse_box, errors)
                boxes = BoxTable.of_rows(rows)
                boxes.lines = lines
                yield AnnotatedSequence(
                    str(path), images, boxes, _CLASS_NAMES, errors, numbers=numbers
                )


def _parse_box(row: str) -> BoxRow:
    cells = row.split()
    if len(cells) < _COLUMNS:
        raise ValueError(f"{len(cells)} columns, expected 17 ({_COLUMNS} at least)")
    frame, identity, *corners = parse_numbers(cells[:2] + cells[6:_COLUMNS])
    kind = cells[2]
    return BoxRow(frame, corners, kind, identity, ignored=kind == _IGNORED_REGION)
