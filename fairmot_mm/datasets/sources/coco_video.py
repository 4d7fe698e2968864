from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from fairmot_mm.formats.annotation_errors import AnnotationError, ErrorSink
from fairmot_mm.formats.files import read_json
from fairmot_mm.registry import DATASETS

from ..annotated_sequence import AnnotatedSequence, BoxRow, BoxTable
from ..frame_dataset import FrameDataset


@DATASETS.register_module()
class COCOVideoFrameDataset(FrameDataset):
    """COCO-VID JSON, as the toolbox's converters write it.

    ``videos``, ``images`` with ``video_id``, ``frame_id`` and ``file_name``,
    ``annotations`` with ``bbox`` (x, y, w, h), ``category_id`` and the identity as
    ``instance_id`` or, where that is missing, ``track_id``; ``categories``. In plain
    COCO, images have no video and boxes no identity. Boxes marked ``iscrowd`` or
    ``ignore`` are in the record as ignored; those with a ``mot_conf`` of 0 are left
    out.

    Args:
        ann_file: The JSON, relative to ``data_root``.
        data_root: Folder of the data set.
        data_prefix: ``img_path`` is the folder of ``file_name``.
        min_visibility: Boxes with less ``visibility`` are left out.
        **kwargs: For :class:`FrameDataset`.
    """

    def __init__(
        self,
        ann_file: str,
        data_root: str = "",
        data_prefix: dict | None = None,
        min_visibility: float = 0.0,
        **kwargs: Any,
    ) -> None:
        self.min_visibility = min_visibility
        super().__init__(
            ann_file=ann_file,
            data_root=data_root,
            data_prefix=data_prefix or dict(img_path=""),
            **kwargs,
        )

    def read_sequences(self, errors: ErrorSink) -> Iterator[AnnotatedSequence]:
        """Read the file."""
        content = read_json(Path(self.ann_file))
        if not isinstance(content, dict):
            raise ValueError(f"{self.ann_file}: no object, as COCO-VID is")
        for key in ("images", "annotations", "categories"):
            if not isinstance(content.get(key), list):
                raise ValueError(f"{self.ann_file}: no list {key}, as COCO-VID has it")
        class_names = {entry["id"]: entry["name"] for entry in content["categories"]}
        images = self._read_images(content["images"], errors)
        boxes = defaultdict(list)
        for annotation in content["annotations"]:
            row = self._read_box(annotation, images, errors)
            if row is not None:
                boxes[annotation["image_id"]].append(row)
        videos = defaultdict(list)
        for image in images.values():
            videos[image.get("video_id")].append(image)
        folder = Path(self.data_prefix["img_path"])
        for frames in videos.values():
            frames.sort(key=lambda image: image.get("frame_id", 0))
            yield AnnotatedSequence(
                annotation_file=self.ann_file,
                images=[str(folder / frame["file_name"]) for frame in frames],
                boxes=BoxTable.of_rows(
                    row._replace(frame=index)
                    for index, frame in enumerate(frames)
                    for row in boxes[frame["id"]]
                ),
                class_names=class_names,
                errors=errors,
                sizes=np.array(
                    [(f.get("width", 0), f.get("height", 0)) for f in frames]
                ),
            )

    def _read_images(self, entries: list[dict], errors: ErrorSink) -> dict[int, dict]:
        images: dict[int, dict] = {}
        for number, image in enumerate(entries):
            if not {"id", "file_name"} <= image.keys():
                kind, place = "malformed image", image.get("id", f"number {number}")
                text = f"image {place}: no id or file_name"
            elif image["id"] in images:
                kind = "image twice"
                text = f"image id {image['id']} is twice, expected once"
            else:
                images[image["id"]] = image
                continue
            errors(AnnotationError(kind, self.ann_file, None, text))
        return images

    def _read_box(
        self, annotation: dict, images: dict[int, dict], errors: ErrorSink
    ) -> BoxRow | None:
        """A box of a frame to be filled in; None if it is malformed or not wanted."""
        place = f"annotation {annotation.get('id')}"
        try:
            x, y, width, height = (float(value) for value in annotation["bbox"])
            identity = annotation.get("instance_id", annotation.get("track_id", -1))
            row = BoxRow(
                frame=-1,
                corners=(x, y, x + width, y + height),
                category=int(annotation["category_id"]),
                identity=int(identity),
                ignored=bool(annotation.get("iscrowd") or annotation.get("ignore")),
                place=place,
            )
        except (KeyError, TypeError, ValueError):
            text = f"{place}: expected bbox of four numbers, category_id and whole ids"
            errors(AnnotationError("malformed box", self.ann_file, None, text))
            return None
        if annotation.get("image_id") not in images:
            text = f"{place}: no image with id {annotation.get('image_id')}"
            errors(AnnotationError("malformed box", self.ann_file, None, text))
            return None
        hidden = annotation.get("visibility", 1) < self.min_visibility
        for reason, applies in (
            ("marked 0", annotation.get("mot_conf", 1) == 0),
            ("little visible", hidden),
        ):
            if applies:
                self.left_out[reason] += 1
                return None
        return row
