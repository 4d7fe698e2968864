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

_MALFORMED = (AttributeError, KeyError, TypeError, ValueError)


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
    """

    def __init__(
        self,
        ann_file: str,
        data_root: str = "",
        min_visibility: float = 0.0,
        **kwargs: Any,
    ) -> None:
        self.min_visibility = min_visibility
        super().__init__(ann_file=ann_file, data_root=data_root, **kwargs)

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
        boxes = self._read_boxes(content["annotations"], images, errors)
        names = self._read_video_names(content.get("videos") or ())
        videos = defaultdict(list)
        for image in images.values():
            videos[image.get("video_id")].append(image)
        folder = Path(self.data_prefix["img_path"])
        for video_id, frames in videos.items():
            frames.sort(key=lambda image: image.get("frame_id", 0))
            paths = [str(folder / image["file_name"]) for image in frames]
            sizes = [(x.get("width", 0), x.get("height", 0)) for x in frames]
            rows = (
                row._replace(frame=index)
                for index, image in enumerate(frames)
                for row in boxes[image["id"]]
            )
            yield AnnotatedSequence(
                self.ann_file,
                paths,
                BoxTable.of_rows(rows),
                class_names,
                errors,
                name=names.get(video_id, f"video-{video_id}"),
                sizes=np.array(sizes),
            )

    def _read_video_names(self, entries: Sequence[dict]) -> dict[object, str]:
        """Names that result files can bear: those of folders are joined."""
        try:
            named = [entry for entry in entries if "name" in entry]
            return {x["id"]: "-".join(Path(x["name"]).parts) for x in named}
        except (KeyError, TypeError) as error:
            raise ValueError(
                f"{self.ann_file}: videos: expected a list of objects with id and name"
            ) from error

    def _read_categories(self, entries: list[dict]) -> dict[int, str | None]:
        names: dict[int, str | None] = {}
        for entry in entries:
            try:
                number, name = json_number(entry["id"]), str(entry["name"])
                if not name or number in names or number % 1:
                    raise ValueError
            except (KeyError, TypeError, ValueError) as error:
                raise ValueError(
                    f"{self.ann_file}: category {entry}: expected a number of its own "
                    "as id, and a name"
                ) from error
            names[int(number)] = name
        return names

    def _read_images(
        self, entries: list[dict], errors: ErrorSink
    ) -> dict[object, dict]:
        images: dict[object, dict] = {}
        for number, image in enumerate(entries):
            place: object = f"number {number}"
            try:
                place = image.get("id", place)
                sizes = [json_number(image.get(k, 0)) for k in ("width", "height")]
                json_number(image.get("frame_id", 0))
                hash(image.get("video_id"))
                if not isinstance(image["file_name"], str) or max(sizes) >= 2**31:
                    raise ValueError
                if images.setdefault(image["id"], image) is image:
                    continue
                kind, text = "image twice", f"image id {place} is twice, expected once"
            except _MALFORMED:
                kind = "malformed image"
                text = (
                    f"image {place}: no id or file_name, or a frame_id, width or "
                    "height that is no number"
                )
            errors(AnnotationError(kind, self.ann_file, None, text))
        return images

    def _read_boxes(
        self, entries: list[dict], images: dict[object, dict], errors: ErrorSink
    ) -> dict[object, list[BoxRow]]:
        """Boxes of each image; the index of the frame is yet to be filled in."""
        boxes: dict[object, list[BoxRow]] = defaultdict(list)
        seen: set[object] = set()
        for entry in entries:
            text = "expected bbox of four numbers, category_id and whole ids"
            try:
                row = _parse_box(entry)
                mark = json_number(entry.get("mot_conf", 1))
                visibility = json_number(entry.get("visibility", 1))
                if entry.get("image_id") not in images:
                    text = f"no image with id {entry.get('image_id')}"
                    raise ValueError
                if "id" in entry and entry["id"] in seen:
                    text = "this id is twice, expected once"
                    raise ValueError
                seen.add(entry.get("id"))
            except _MALFORMED:
                name = entry.get("id") if isinstance(entry, dict) else repr(entry)
                text = f"annotation {name}: {text}"
                errors(AnnotationError("malformed box", self.ann_file, None, text))
                continue
            if mark == 0:
                self.left_out["marked 0"] += 1
            elif visibility < self.min_visibility:
                self.left_out["little visible"] += 1
            else:
                boxes[entry["image_id"]].append(row)
        return boxes


def _parse_box(entry: dict) -> BoxRow:
    x, y, width, height = (json_number(value) for value in entry["bbox"])
    identity = entry.get("instance_id", entry.get("track_id", -1))
    return BoxRow(
        frame=-1,
        corners=(x, y, x + width, y + height),
        category=json_number(entry["category_id"]),
        identity=json_number(identity),
        ignored=bool(entry.get("iscrowd") or entry.get("ignore")),
        place=f"annotation {entry.get('id')}",
    )
