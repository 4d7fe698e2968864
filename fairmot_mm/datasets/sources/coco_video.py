from __future__ import annotations

from collections import defaultdict
from pathlib import Path

import numpy as np

from fairmot_mm.formats.annotation_errors import report
from fairmot_mm.registry import DATASETS

from ..frame_dataset import FrameDataset
from ..frame_records import Boxes, FrameRecords, RecordsBuilder
from .common import read_json


@DATASETS.register_module()
class COCOVideoFrameDataset(FrameDataset):
    """COCO-VID JSON, as the toolbox's converters write it.

    ``videos``, ``images`` with ``video_id``, ``frame_id`` and ``file_name``,
    ``annotations`` with ``bbox`` (x, y, w, h), ``category_id`` and the identity as
    ``instance_id`` or, where that is missing, ``track_id``; ``categories``. Images
    without a video and annotations without either (plain COCO) do, too; such boxes have
    no identity. What is marked ``iscrowd`` or ``ignore`` is in the record as ignored;
    what has a ``mot_conf`` of 0 is left out.

    Args:
        ann_file (str): The JSON, relative to ``data_root``.
        data_root (str): Folder of the data set.
        data_prefix (dict): ``img_path`` is the folder of ``file_name``.
        min_visibility (float): Boxes with less ``visibility`` are left out.
        metainfo (dict | None): ``classes`` to learn, by the names of the categories.
        **kwargs: For :class:`FrameDataset`.
    """

    def __init__(
        self,
        ann_file: str,
        data_root: str = "",
        data_prefix: dict | None = None,
        min_visibility: float = 0.0,
        **kwargs,
    ) -> None:
        self.min_visibility = min_visibility
        super().__init__(
            ann_file=ann_file,
            data_root=data_root,
            data_prefix=data_prefix or dict(img_path=""),
            **kwargs,
        )

    def load_records(self) -> FrameRecords:
        """Read the file."""
        content = read_json(Path(self.ann_file))
        for key in ("images", "annotations", "categories"):
            if not isinstance(content, dict) or not isinstance(content.get(key), list):
                raise ValueError(f"{self.ann_file}: no list {key}, as COCO-VID has it")
        labels = self._labels(content["categories"])
        images = self._images(content["images"])
        boxes = defaultdict(list)
        for annotation in content["annotations"]:
            row = self._box(annotation, labels, images)
            if row is not None:
                boxes[annotation["image_id"]].append(row)
        videos = defaultdict(list)
        for image in images.values():
            videos[image.get("video_id")].append(image)
        builder = RecordsBuilder()
        for frames in videos.values():
            frames.sort(key=lambda image: image.get("frame_id", 0))
            self._add(builder, frames, boxes)
        return builder.finish()

    def _labels(self, categories: list[dict]) -> dict[int, int]:
        """Label of each category, -1 for what is not wanted."""
        names = {category["id"]: category["name"] for category in categories}
        missing = set(self._classes) - set(names.values())
        if missing:
            raise ValueError(
                f"{self.ann_file}: no category {', '.join(sorted(missing))}; there is "
                f"{', '.join(names.values())}: correct metainfo.classes"
            )
        classes = {name: label for label, name in enumerate(self._classes)}
        return {number: classes.get(name, -1) for number, name in names.items()}

    def _images(self, entries: list[dict]) -> dict[int, dict]:
        images: dict[int, dict] = {}
        for number, image in enumerate(entries):
            if not {"id", "file_name"} <= image.keys():
                what = (
                    f"image {image.get('id', f'number {number}')}: no id or file_name"
                )
                report("malformed image", self.ann_file, None, what)
            elif image["id"] in images:
                what = f"image id {image['id']} is twice, expected once"
                report("image twice", self.ann_file, None, what)
            else:
                images[image["id"]] = image
        return images

    def _box(
        self, annotation: dict, labels: dict[int, int], images: dict[int, dict]
    ) -> list[float] | None:
        """x, y, w, h, label, identity, ignored; None if at fault or not wanted."""
        place = f"annotation {annotation.get('id')}"
        try:
            box = [float(value) for value in annotation["bbox"]]
            label = labels[annotation["category_id"]]
            identity = annotation.get("instance_id", annotation.get("track_id", -1))
            identity = int(identity)
        except (KeyError, TypeError, ValueError):
            box = []
        if len(box) != 4 or not np.isfinite(box).all():
            what = f"{place}: expected bbox of four numbers and a known category_id"
            return report("malformed box", self.ann_file, None, what)
        if annotation.get("image_id") not in images:
            what = f"{place}: no image with id {annotation.get('image_id')}"
            return report("malformed box", self.ann_file, None, what)
        ignored = bool(annotation.get("iscrowd")) or bool(annotation.get("ignore"))
        reason = self._reason_against(annotation, label)
        if reason is not None:
            self.left_out[reason] += 1
            return None
        if not ignored and min(box[2:]) <= 0:
            what = f"{place}: box of {box[2]:g} x {box[3]:g} pixels, expected above 0"
            return report("degenerate box", self.ann_file, None, what)
        return [*box, label, identity, ignored]

    def _reason_against(self, annotation: dict, label: int) -> str | None:
        if label < 0:
            return "of other classes"
        if annotation.get("mot_conf", 1) == 0:
            return "marked 0"
        if annotation.get("visibility", 1) < self.min_visibility:
            return "little visible"
        return None

    def _add(
        self, builder: RecordsBuilder, frames: list[dict], boxes: dict[int, list]
    ) -> None:
        """Add a video."""
        found = [boxes[frame["id"]] for frame in frames]
        values = np.array([row for rows in found for row in rows]).reshape(-1, 7)
        corners = values[:, :4].copy()
        corners[:, 2:] += corners[:, :2]
        folder = Path(self.data_prefix["img_path"])
        builder.add(
            [str(folder / frame["file_name"]) for frame in frames],
            Boxes(
                counts=np.array([len(rows) for rows in found]),
                boxes=corners,
                labels=values[:, 4],
                identities=values[:, 5].astype(np.int64),
                ignored=values[:, 6] != 0,
            ),
            self.ann_file,
            np.array([(f.get("width", 0), f.get("height", 0)) for f in frames]),
        )
