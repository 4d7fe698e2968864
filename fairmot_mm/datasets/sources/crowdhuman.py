from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from fairmot_mm.formats.annotation_errors import report
from fairmot_mm.registry import DATASETS

from ..frame_dataset import FrameDataset
from ..frame_records import Boxes, FrameRecords, RecordsBuilder


@DATASETS.register_module()
class CrowdHumanFrameDataset(FrameDataset):
    """CrowdHuman (Shao et al., arXiv:1805.00123): single images, full-body boxes.

    A line of ``annotation_train.odgt`` is the JSON of an image: its ``ID``, and
    ``gtboxes`` with ``tag``, ``fbox`` (x, y, w, h of the whole body, which may leave
    the image) and ``extra.ignore``. What is marked to be ignored, or no ``person``, is
    in the record as ignored.

    Args:
        ann_file (str): The ``.odgt`` file, relative to ``data_root``.
        data_root (str): Folder of the data set.
        data_prefix (dict): ``img_path`` is the folder of ``ID.jpg``.
        id_per_box (bool): Every box is an identity of its own, which is how FairMOT
            learns to tell people apart from single images (section 3.3 of
            arXiv:2004.01888); without, boxes are for detection alone.
        **kwargs: For :class:`FrameDataset`.
    """

    ordered = False

    def __init__(
        self,
        ann_file: str,
        data_root: str = "",
        data_prefix: dict | None = None,
        id_per_box: bool = True,
        **kwargs,
    ) -> None:
        self.id_per_box = id_per_box
        prefix = dict(img_path="Images") if data_prefix is None else data_prefix
        super().__init__(
            ann_file=ann_file, data_root=data_root, data_prefix=prefix, **kwargs
        )
        if len(self._classes) != 1:
            raise ValueError(
                f"metainfo.classes is {self._classes}, but CrowdHuman has one class"
            )

    def load_records(self) -> FrameRecords:
        """Read the file."""
        folder = Path(self.data_prefix["img_path"])
        paths, counts, boxes, ignored, lines = [], [], [], [], []
        seen: dict[str, int] = {}
        with open(self.ann_file, encoding="utf-8-sig", errors="replace") as file:
            for number, row in enumerate(file, 1):
                image = self._image(number, row) if row.strip() else None
                if image is None:
                    continue
                first = seen.setdefault(image["ID"], number)
                if first != number:
                    what = f"image {image['ID']} again (first on line {first})"
                    report("image twice", self.ann_file, number, what)
                    continue
                found = [self._box(number, box) for box in image["gtboxes"]]
                found = [box for box in found if box is not None]
                paths.append(str(folder / f"{image['ID']}.jpg"))
                counts.append(len(found))
                boxes += [box for box, _ in found]
                ignored += [ignore for _, ignore in found]
                lines += [number] * len(found)
        if not paths:
            raise ValueError(f"{self.ann_file}: empty; expected an image per line")
        boxes = np.array(boxes, np.float64).reshape(-1, 4)
        boxes[:, 2:] += boxes[:, :2]
        count = len(boxes)
        builder = RecordsBuilder()
        builder.add(
            paths,
            Boxes(
                counts=np.array(counts),
                boxes=boxes,
                labels=np.zeros(count),
                identities=np.arange(count) if self.id_per_box else np.full(count, -1),
                ignored=np.array(ignored, bool),
                lines=np.array(lines),
            ),
            self.ann_file,
        )
        return builder.finish()

    def _image(self, number: int, row: str) -> dict | None:
        """The JSON of a line, or None if it is at fault."""
        try:
            image = json.loads(row)
        except json.JSONDecodeError as error:
            what = f"no JSON at column {error.colno}: {error.msg}"
            return report("malformed line", self.ann_file, number, what)
        sound = isinstance(image, dict) and isinstance(image.get("ID"), str)
        if not sound or not isinstance(image.get("gtboxes"), list):
            what = "expected an object with ID and a list gtboxes"
            return report("malformed line", self.ann_file, number, what)
        return image

    def _box(self, number: int, box: dict) -> tuple[list[float], bool] | None:
        """x, y, w, h, and whether it is to be ignored; None if it is at fault."""
        try:
            numbers = [float(value) for value in box["fbox"]]
            extra = box.get("extra") or {}
            ignore = box["tag"] != "person" or bool(int(extra.get("ignore", 0)))
        except (KeyError, TypeError, ValueError, AttributeError):
            numbers = []
        if len(numbers) != 4 or not np.isfinite(numbers).all():
            what = f"box {box}: expected tag and fbox of four finite numbers"
            return report("malformed line", self.ann_file, number, what)
        if not ignore and min(numbers[2:]) <= 0:
            what = (
                f"fbox of {numbers[2]:g} x {numbers[3]:g} pixels, expected width and "
                "height above 0"
            )
            return report("degenerate box", self.ann_file, number, what)
        return numbers, ignore
