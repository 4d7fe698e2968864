from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

from fairmot_mm.formats import files
from fairmot_mm.formats.annotation_errors import (
    AnnotationError,
    ErrorSink,
    unreadable_file,
)
from fairmot_mm.registry import DATASETS

from ..annotated_sequence import AnnotatedSequence, BoxRow, BoxTable
from ..frame_dataset import FrameDataset

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
_CLASS_NAMES = {name: name for name in BDD100K_CLASSES}
_CORNERS = ("x1", "y1", "x2", "y2")


@DATASETS.register_module()
class BDD100KFrameDataset(FrameDataset):
    """BDD100K multi-object tracking (Yu et al., arXiv:1805.04687).

    Reads a JSON per video, a list of frames with ``name``, ``frameIndex`` and
    ``labels`` of ``id``, ``category``, ``box2d`` (x1, y1, x2, y2) and ``attributes``.
    Crowds are in the record as ignored.

    Args:
        data_root: Folder of the data set.
        ann_file: Folder of the JSON files, relative to ``data_root``.
        data_prefix: ``img_path`` holds a folder of frames per video.
    """

    METAINFO: ClassVar[dict] = dict(classes=BDD100K_CLASSES[:8])
    image_folder = "images/track/train"

    def __init__(
        self,
        data_root: str = "",
        ann_file: str = "labels/box_track_20/train",
        **kwargs: Any,
    ) -> None:
        super().__init__(ann_file=ann_file, data_root=data_root, **kwargs)

    def read_sequences(self, errors: ErrorSink) -> Iterator[AnnotatedSequence]:
        """Read the videos."""
        for path in files.annotation_files(Path(self.ann_file), "*.json"):
            with unreadable_file(path, errors):
                frames = _frames(path)
                folder = Path(self.data_prefix["img_path"], path.stem)
                images = [str(folder / frame["name"]) for frame in frames]
                boxes = BoxTable.of_rows(_boxes(path, frames, errors))
                yield AnnotatedSequence(str(path), images, boxes, _CLASS_NAMES, errors)


def _boxes(path: Path, frames: list[dict], errors: ErrorSink) -> Iterator[BoxRow]:
    for index, frame in enumerate(frames):
        for box in frame.get("labels") or ():
            try:
                crowd = (box.get("attributes") or {}).get("crowd", False)
                yield BoxRow(
                    frame=index,
                    corners=[files.json_number(box["box2d"][key]) for key in _CORNERS],
                    category=box["category"],
                    identity=str(box["id"]),
                    ignored=crowd in (True, "true"),
                    place=f"{frame['name']}, id {box['id']}",
                )
            except (AttributeError, KeyError, TypeError, ValueError):
                expected = "expected id, category and box2d with x1 to y2"
                text = f"{frame['name']}: {box}: {expected}"
                errors(AnnotationError("malformed box", path, None, text))


def _frames(path: Path) -> list[dict]:
    """Frames of a video in order.

    Raises:
        ValueError: The file is no JSON, or not of this kind.
    """
    frames = files.read_json(path)
    if isinstance(frames, dict):  # as later tools write it
        frames = frames.get("frames")
    if not isinstance(frames, list) or not frames:
        raise ValueError(f"{path}: expected a list of frames")
    for number, frame in enumerate(frames):
        name = frame.get("name") if isinstance(frame, dict) else None
        if not isinstance(name, str) or not files.is_file_name(name):
            what = f"frame {number} of the list has the name {name!r}"
            raise ValueError(f"{path}: {what}, expected that of an image")
        if not isinstance(frame.get("labels") or [], list):
            raise ValueError(f"{path}: {name}: labels are no list")
        if not isinstance(frame.get("frameIndex", 0), int):
            raise ValueError(f"{path}: {name}: frameIndex is no whole number")
    return sorted(frames, key=lambda frame: frame.get("frameIndex", 0))
