from __future__ import annotations

from pathlib import Path

import numpy as np

from fairmot_mm.formats.annotation_errors import as_fault, report
from fairmot_mm.registry import DATASETS

from ..frame_dataset import FrameDataset
from ..frame_records import Boxes, FrameRecords, RecordsBuilder
from .common import annotation_files, class_table, read_json

# Those that the benchmark scores, and three that it treats as distractors.
BDD100K_CLASSES = (
    "pedestrian",
    "rider",
    "car",
    "truck",
    "bus",
    "train",
    "motorcycle",
    "bicycle",
    "other person",
    "other vehicle",
    "trailer",
)


@DATASETS.register_module()
class BDD100KFrameDataset(FrameDataset):
    """BDD100K multi-object tracking (Yu et al., arXiv:1805.04687).

    Reads a JSON per video, a list of frames with ``name``, ``frameIndex`` and
    ``labels`` of ``id``, ``category``, ``box2d`` (x1, y1, x2, y2) and ``attributes``.
    Crowds are in the record as ignored.

    Args:
        ann_file (str): Folder of the JSON files, relative to ``data_root``.
        data_root (str): Folder of the data set.
        data_prefix (dict): ``img_path`` holds a folder of frames per video.
        metainfo (dict | None): ``classes`` to learn, in the order of their labels.
        **kwargs: For :class:`FrameDataset`.
    """

    METAINFO = dict(classes=BDD100K_CLASSES[:8])  # noqa: RUF012

    def __init__(
        self,
        data_root: str = "",
        ann_file: str = "labels/box_track_20/train",
        data_prefix: dict | None = None,
        **kwargs,
    ) -> None:
        default = dict(img_path="images/track/train")
        super().__init__(
            ann_file=ann_file,
            data_root=data_root,
            data_prefix=default if data_prefix is None else data_prefix,
            **kwargs,
        )

    def load_records(self) -> FrameRecords:
        """Read all videos."""
        labels = class_table(self._classes, BDD100K_CLASSES)
        builder = RecordsBuilder()
        for path in annotation_files(Path(self.ann_file), "*.json"):
            with as_fault("unreadable file", path):
                self._add(builder, path, _frames(path), labels)
        return builder.finish()

    def _add(
        self,
        builder: RecordsBuilder,
        path: Path,
        frames: list[dict],
        labels: np.ndarray,
    ) -> None:
        folder = Path(self.data_prefix["img_path"]) / path.stem
        images, counts, rows, names = [], [], [], []
        for frame in frames:
            images.append(str(folder / frame["name"]))
            before = len(rows)
            for box in frame.get("labels") or ():
                row = self._box(path, frame["name"], box, labels)
                if row is not None:
                    rows.append(row)
                    names.append(str(box["id"]))
            counts.append(len(rows) - before)
        values = np.array(rows).reshape(-1, 6)
        builder.add(
            images,
            Boxes(
                counts=np.array(counts),
                boxes=values[:, :4],
                labels=values[:, 4],
                identities=np.unique(np.array(names, str), return_inverse=True)[1],
                ignored=values[:, 5] != 0,
            ),
            str(path),
        )

    def _box(
        self, path: Path, frame: str, box: dict, labels: np.ndarray
    ) -> list[float] | None:
        """x1, y1, x2, y2, label, ignored; None if it is at fault or not wanted."""
        try:
            corners = [float(box["box2d"][key]) for key in ("x1", "y1", "x2", "y2")]
            category, identity = box["category"], box["id"]
            crowd = (box.get("attributes") or {}).get("crowd", False)
        except (KeyError, TypeError, ValueError):
            what = f"{frame}: {box}: expected id, category and box2d with x1 to y2"
            return report("malformed box", path, None, what)
        if category not in BDD100K_CLASSES:
            what = f"{frame}, id {identity}: unknown category {category!r}"
            return report("unknown class", path, None, what)
        label = labels[BDD100K_CLASSES.index(category) + 1]
        if label < 0:
            self.left_out["of other classes"] += 1
            return None
        x1, y1, x2, y2 = corners
        if not np.isfinite(corners).all() or x1 >= x2 or y1 >= y2:
            what = (
                f"{frame}, id {identity}: box from {x1:g}, {y1:g} to {x2:g}, {y2:g}: "
                "expected width and height above 0"
            )
            return report("degenerate box", path, None, what)
        return [*corners, label, crowd in (True, "true")]


def _frames(path: Path) -> list[dict]:
    """Frames of a video in order.

    Raises:
        ValueError: The file is no JSON, or not of this kind.
    """
    frames = read_json(path)
    if isinstance(frames, dict):  # as later tools write it
        frames = frames.get("frames")
    if not isinstance(frames, list) or not frames:
        raise ValueError(f"{path}: expected a list of frames")
    for number, frame in enumerate(frames):
        if not isinstance(frame, dict) or not isinstance(frame.get("name"), str):
            raise ValueError(f"{path}: frame {number} of the list has no name")
    return sorted(frames, key=lambda frame: frame.get("frameIndex", 0))
