import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from fairmot_mm.formats.annotation_errors import AnnotationError, ErrorSink
from fairmot_mm.formats.files import is_file_name, json_number, parse_json
from fairmot_mm.formats.tables import parse_lines, read_lines
from fairmot_mm.registry import DATASETS

from ..annotated_sequence import AnnotatedSequence, BoxRow, BoxTable
from ..frame_dataset import FrameDataset


@DATASETS.register_module()
class CrowdHumanFrameDataset(FrameDataset):
    """CrowdHuman (Shao et al., arXiv:1805.00123): single images, full-body boxes.

    A line of ``annotation_train.odgt`` is the JSON of an image: its ``ID``, and
    ``gtboxes`` with ``tag``, ``fbox`` (x, y, w, h of the whole body, which may leave
    the image) and ``extra.ignore``. Boxes marked so, and those that are no ``person``,
    are in the record as ignored.

    Args:
        ann_file: The ``.odgt`` file, relative to ``data_root``.
        data_root: Folder of the data set.
        data_prefix: ``img_path`` is the folder of ``ID.jpg``.
        id_per_box: Every box is an identity of its own, which is how FairMOT learns to
            tell people apart from single images (section 3.3 of arXiv:2004.01888);
            without, boxes are for detection alone.
    """

    ordered = False
    image_folder = "Images"

    def __init__(
        self, ann_file: str, data_root: str = "", id_per_box: bool = True, **kwargs: Any
    ) -> None:
        self.id_per_box = id_per_box
        super().__init__(ann_file=ann_file, data_root=data_root, **kwargs)
        if len(self._classes) != 1:
            raise ValueError(
                f"metainfo.classes is {self._classes}, but CrowdHuman has one class"
            )

    def read_sequences(self, errors: ErrorSink) -> Iterator[AnnotatedSequence]:
        """Read the file."""
        path = Path(self.ann_file)
        entries, lines = parse_lines(path, read_lines(path), _parse_image, errors)
        if not entries:
            raise ValueError(f"{path}: empty; expected an image per line")
        images: dict[str, int] = {}
        rows: list[BoxRow] = []
        for entry, line in zip(entries, lines.tolist(), strict=True):
            first = images.setdefault(entry["ID"], line)
            if first != line:
                text = f"image {entry['ID']} again (first on line {first})"
                errors(AnnotationError("image twice", path, line, text))
                continue
            for box in entry["gtboxes"]:
                identity = len(rows) if self.id_per_box else -1
                try:
                    rows.append(_parse_box(box, len(images) - 1, identity, line))
                except (AttributeError, KeyError, TypeError, ValueError):
                    text = f"box {box}: expected tag and fbox of four numbers"
                    errors(AnnotationError("malformed line", path, line, text))
        folder = Path(self.data_prefix["img_path"])
        paths = [str(folder / f"{name}.jpg") for name in images]
        names = {0: self._classes[0]}
        boxes = BoxTable.of_rows(rows)
        yield AnnotatedSequence(self.ann_file, paths, boxes, names, errors)


def _parse_image(row: str) -> dict:
    try:
        image = parse_json(row)
    except json.JSONDecodeError as error:
        raise ValueError(f"no JSON at column {error.colno}: {error.msg}") from None
    if not isinstance(image, dict) or not isinstance(image.get("gtboxes"), list):
        raise ValueError("expected an object with ID and a list gtboxes")
    if not isinstance(image.get("ID"), str) or not is_file_name(image["ID"]):
        raise ValueError(f"ID {image.get('ID')!r}, expected the name of an image")
    return image


def _parse_box(box: dict, image: int, identity: int, line: int) -> BoxRow:
    x, y, width, height = (json_number(value) for value in box["fbox"])
    marked = int((box.get("extra") or {}).get("ignore", 0))
    ignored = box["tag"] != "person" or bool(marked)
    return BoxRow(image, (x, y, x + width, y + height), 0, identity, line, ignored)
