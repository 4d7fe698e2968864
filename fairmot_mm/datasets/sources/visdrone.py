from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

from fairmot_mm.formats.annotation_errors import ErrorSink, unreadable_file
from fairmot_mm.formats.boxes import xywh_to_xyxy
from fairmot_mm.formats.files import annotation_files
from fairmot_mm.formats.images import frame_images
from fairmot_mm.formats.tables import read_table
from fairmot_mm.registry import DATASETS

from ..annotated_sequence import AnnotatedSequence, BoxTable
from ..frame_dataset import FrameDataset

# Category column from 1; 0 is an ignored region.
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
_CLASS_NAMES = dict(enumerate((None, *VISDRONE_CLASSES)))


@DATASETS.register_module()
class VisDroneFrameDataset(FrameDataset):
    """VisDrone-MOT (Zhu et al., arXiv:2001.06303): ten classes seen from drones.

    Reads ``sequences/SEQ/0000001.jpg`` and ``annotations/SEQ.txt`` with lines
    ``frame,id,x,y,w,h,score,category,truncation,occlusion``. Ignored regions and boxes
    with score 0, which the benchmark does not consider, are in the record as ignored.

    Args:
        data_root: E.g. ``data/VisDrone2019-MOT-train``.
    """

    METAINFO: ClassVar[dict] = dict(classes=VISDRONE_CLASSES[:10])

    def __init__(self, data_root: str, **kwargs: Any) -> None:
        super().__init__(data_root=data_root, **kwargs)

    def read_sequences(self, errors: ErrorSink) -> Iterator[AnnotatedSequence]:
        """Read the sequences."""
        root = Path(self.data_root)
        for path in annotation_files(root / "annotations", "*.txt"):
            with unreadable_file(path, errors):
                images, numbers = frame_images(root / "sequences" / path.stem)
                table = read_table(path, 8, errors)
                frames, ids, _, _, _, _, scores, categories = table.values[:, :8].T
                corners = xywh_to_xyxy(table.values[:, 2:6])
                ignored = (categories == _IGNORED_REGION) | (scores == 0)
                boxes = BoxTable(frames, corners, categories, ids, table.lines, ignored)
                yield AnnotatedSequence(
                    str(path), images, boxes, _CLASS_NAMES, errors, numbers=numbers
                )
