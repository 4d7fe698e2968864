from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fairmot_mm.formats.annotation_errors import AnnotationError, ErrorSink
from fairmot_mm.formats.files import json_number, read_json
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
        class_names = self._read_categories(content["categories"])
        images = self._read_images(content["images"], errors)
        boxes: dict[object, list[BoxRow]] = defaultdict(list)
        seen: set[object] = set()
        for annotation in content["annotations"]:
            row = self._read_box(annotation, images, seen, errors)
            if row is not None:
                boxes[annotation["image_id"]].append(row)
        videos = defaultdict(list)
        for image in images.values():
            videos[image.get("video_id")].append(image)
        folder = Path(self.data_prefix["img_path"])
        names = self._read_video_names(content.get("videos") or ())
        for video_id, frames in videos.items():
            frames.sort(key=lambda image: image.get("frame_id", 0))
            yield AnnotatedSequence(
                annotation_file=self.ann_file,
                name=names.get(video_id, f"video-{video_id}"),
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

    def _read_video_names(self, entries: Sequence[dict]) -> dict[object, str]:
        """Names that result files can bear: those of folders are joined."""
        try:
            return {
                x["id"]: "-".join(Path(x["name"]).parts) for x in entries if "name" in x
            }
        except (KeyError, TypeError) as error:
            raise ValueError(
                f"{self.ann_file}: videos: expected a list of objects with id and name"
            ) from error

    def _read_categories(self, entries: list[dict]) -> dict[int, str | None]:
        names: dict[int, str | None] = {}
        for entry in entries:
            try:
                number, name = json_number(entry["id"]), str(entry["name"])
            except (KeyError, TypeError, ValueError):
                number, name = -1, ""
            if not name or number in names or number % 1:
                raise ValueError(
                    f"{self.ann_file}: category {entry}: expected a number of its own "
                    "as id, and a name"
                )
            names[int(number)] = name
        return names

    def _read_images(
        self, entries: list[dict], errors: ErrorSink
    ) -> dict[object, dict]:
        images: dict[object, dict] = {}
        for number, image in enumerate(entries):
            kind, place = "malformed image", f"number {number}"
            try:
                place = image.get("id", place)
                sizes = [json_number(image.get(k, 0)) for k in ("width", "height")]
                json_number(image.get("frame_id", 0))
                hash((image["id"], image.get("video_id")))
                if not isinstance(image["file_name"], str) or max(sizes) >= 2**31:
                    raise ValueError
            except (AttributeError, KeyError, TypeError, ValueError):
                text = (
                    f"image {place}: no id or file_name, or a frame_id, width or "
                    "height that is no number"
                )
            else:
                if image["id"] not in images:
                    images[image["id"]] = image
                    continue
                kind, text = "image twice", f"image id {place} is twice, expected once"
            errors(AnnotationError(kind, self.ann_file, None, text))
        return images

    def _read_box(
        self,
        annotation: dict,
        images: dict[object, dict],
        seen: set[object],
        errors: ErrorSink,
    ) -> BoxRow | None:
        """A box of a frame to be filled in; None if it is malformed or not wanted."""
        text, place = "expected bbox of four numbers, category_id and whole ids", ""
        try:
            place = f"annotation {annotation.get('id')}"
            x, y, width, height = (json_number(value) for value in annotation["bbox"])
            identity = annotation.get("instance_id", annotation.get("track_id", -1))
            row = BoxRow(
                frame=-1,
                corners=(x, y, x + width, y + height),
                category=json_number(annotation["category_id"]),
                identity=json_number(identity),
                ignored=bool(annotation.get("iscrowd") or annotation.get("ignore")),
                place=place,
            )
            reasons = {
                "marked 0": json_number(annotation.get("mot_conf", 1)) == 0,
                "little visible": json_number(annotation.get("visibility", 1))
                < self.min_visibility,
            }
            if annotation.get("image_id") not in images:
                text = f"no image with id {annotation.get('image_id')}"
                raise ValueError
            if "id" in annotation and annotation["id"] in seen:
                text = "this id is twice, expected once"
                raise ValueError
            seen.add(annotation.get("id"))
        except (AttributeError, KeyError, TypeError, ValueError):
            where = place or f"annotation {annotation!r}"
            text = f"{where}: {text}"
            errors(AnnotationError("malformed box", self.ann_file, None, text))
            return None
        for reason, applies in reasons.items():
            if applies:
                self.left_out[reason] += 1
                return None
        return row
