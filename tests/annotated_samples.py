"""The tiny samples of real formats, and the same annotations in every format."""

import json
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from mmengine.config import Config

from fairmot_mm.formats.mot import MOTSequence, write_sequence_info

FORMATS = Path(__file__).parent / "data" / "formats"
DATA_CONFIG = Path(__file__).parents[1] / "configs/_base_/mot_folder_data.py"
SIZE = (64, 48)
INPUT = (96, 64)  # of the network

# Four frames; nothing is on the second.
MOT17 = """\
1,3,5,6,20,30,1,1,1.0
1,9,-4.5,2,10,20,1,1,0.25
1,4,30,6,12,12,1,3,0.8
1,5,1,1,8,8,0,1,1.0
3,9,0,2,10,20,1,1,0.125
3,7,2,2,5,9,1,7,1
4,3,6,6.5,20,30,1,1,0.9
"""


def make_mot_sequence(
    root: Path, name: str = "SEQ", gt: str | None = MOT17, frames: int = 4
) -> Path:
    """A sequence of four grey frames of 64 x 48 pixels."""
    folder = root / name
    (folder / "img1").mkdir(parents=True)
    for frame in range(1, frames + 1):
        image = np.full((48, 64, 3), 20 * frame, np.uint8)
        assert cv2.imwrite(str(folder / "img1" / f"{frame:06d}.jpg"), image)
    if gt is not None:
        (folder / "gt").mkdir()
        (folder / "gt/gt.txt").write_text(gt)
    write_sequence_info(MOTSequence(folder, name, frames, 25, *SIZE))
    return folder


def pipeline_of(name: str) -> list[dict]:
    """A pipeline of the configs with a small network input."""
    transforms = Config.fromfile(DATA_CONFIG)[name]
    parts = transforms + transforms[0].get("transforms", [])
    (letterbox,) = (part for part in parts if part["type"] == "Letterbox")
    letterbox["size"] = INPUT
    return transforms


def sample(name: str, folder: Path, images: Iterable[str]) -> Path:
    """A copy of a committed sample with images of its own.

    Args:
        name: Folder in ``tests/data/formats``.
        folder: Where to.
        images: Paths in the copy.
    """
    root = folder / name
    shutil.copytree(FORMATS / name, root)
    for number, image in enumerate(images):
        path = root / image
        path.parent.mkdir(parents=True, exist_ok=True)
        grey = np.full((SIZE[1], SIZE[0], 3), 10 * number, np.uint8)
        assert cv2.imwrite(str(path), grey)
    return root


def rows_of(dataset, index: int) -> list[tuple]:
    """Boxes of an image: corners, label, identity, whether to ignore."""
    info = dataset.get_data_info(index)
    columns = (
        info["gt_bboxes"].numpy().tolist(),
        info["gt_bboxes_labels"].tolist(),
        info["gt_instances_ids"].tolist(),
        info["gt_ignore_flags"].tolist(),
    )
    return list(zip(*columns, strict=True))


def edit(path: Path, old: str, new: str) -> None:
    """Change a line of a sample."""
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


@dataclass(frozen=True)
class Frames:
    """Annotated frames: files, and rows of frame (from 0), id, x1, y1, x2, y2."""

    images: list[Path]
    size: tuple[int, int]
    rows: np.ndarray

    def of(self, frame: int) -> np.ndarray:
        """Boxes of a frame: id, x1, y1, x2, y2."""
        return self.rows[self.rows[:, 0] == frame, 1:]


def write_jde(frames: Frames, root: Path) -> dict:
    names = []
    for number, image in enumerate(frames.images):
        names.append(_link(image, root / "SET" / "images" / image.name, root))
        boxes = frames.of(number)
        centers = (boxes[:, 1:3] + boxes[:, 3:5]) / 2 / frames.size
        sides = (boxes[:, 3:5] - boxes[:, 1:3]) / frames.size
        lines = (
            f"0 {box[0]:.0f} {c[0]:.17g} {c[1]:.17g} {s[0]:.17g} {s[1]:.17g}\n"
            for box, c, s in zip(boxes, centers, sides, strict=True)
        )
        path = root / "SET" / "labels_with_ids" / f"{image.stem}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(lines))
    (root / "set.train").write_text("\n".join(names))
    return dict(type="JDEFrameDataset", data_root=str(root), ann_file="set.train")


def write_coco(frames: Frames, root: Path) -> dict:
    width, height = frames.size
    content = dict(
        categories=[dict(id=1, name="pedestrian")],
        videos=[dict(id=1, name="SET")],
        images=[
            dict(
                id=i + 1,
                video_id=1,
                frame_id=i,
                width=width,
                height=height,
                file_name=_link(image, root / "SET" / image.name, root),
            )
            for i, image in enumerate(frames.images)
        ],
        annotations=[
            dict(
                id=i,
                image_id=int(row[0]) + 1,
                category_id=1,
                instance_id=int(row[1]),
                bbox=[row[2], row[3], row[4] - row[2], row[5] - row[3]],
            )
            for i, row in enumerate(frames.rows.tolist())
        ],
    )
    (root / "train.json").write_text(json.dumps(content))
    return dict(
        type="COCOVideoFrameDataset", data_root=str(root), ann_file="train.json"
    )


def write_visdrone(frames: Frames, root: Path) -> dict:
    for number, image in enumerate(frames.images, 1):
        path = root / "sequences" / "uav01" / f"{number:07d}{image.suffix}"
        _link(image, path, root)
    lines = (
        f"{f + 1:.0f},{i:.0f},{x1:g},{y1:g},{x2 - x1:g},{y2 - y1:g},1,1,0,0\n"
        for f, i, x1, y1, x2, y2 in frames.rows.tolist()
    )
    (root / "annotations").mkdir()
    (root / "annotations" / "uav01.txt").write_text("".join(lines))
    return dict(
        type="VisDroneFrameDataset",
        data_root=str(root),
        metainfo=dict(classes=("pedestrian",)),
    )


def write_bdd100k(frames: Frames, root: Path) -> dict:
    content = []
    for number, image in enumerate(frames.images):
        _link(image, root / "images/track/train" / "video" / image.name, root)
        labels = [
            dict(
                # Compared as text: the same digits for the same order.
                id=f"{box[0]:08.0f}",
                category="pedestrian",
                attributes=dict(crowd=False),
                box2d=dict(zip(("x1", "y1", "x2", "y2"), box[1:], strict=True)),
            )
            for box in frames.of(number).tolist()
        ]
        content.append(dict(name=image.name, frameIndex=number, labels=labels))
    folder = root / "labels/box_track_20/train"
    folder.mkdir(parents=True)
    (folder / "video.json").write_text(json.dumps(content))
    return dict(
        type="BDD100KFrameDataset",
        data_root=str(root),
        metainfo=dict(classes=("pedestrian",)),
    )


def write_kitti(frames: Frames, root: Path) -> dict:
    for number, image in enumerate(frames.images):
        path = root / "image_02" / "0000" / f"{number:06d}{image.suffix}"
        _link(image, path, root)
    lines = (
        f"{f:.0f} {i:.0f} Pedestrian 0 0 -1.5 {x1:g} {y1:g} {x2:g} {y2:g} "
        "1.7 0.7 0.9 6.3 1.6 8.4 -1.9\n"
        for f, i, x1, y1, x2, y2 in frames.rows.tolist()
    )
    (root / "label_02").mkdir()
    (root / "label_02" / "0000.txt").write_text("".join(lines))
    return dict(
        type="KITTIFrameDataset",
        data_root=str(root),
        metainfo=dict(classes=("Pedestrian",)),
    )


def write_csv(frames: Frames, root: Path) -> dict:
    for image in frames.images:
        _link(image, root / "photos" / f"shot {image.name}", root)
    lines = (
        f"shot {frames.images[int(f)].name},{i:.0f},{x1:g},{y1:g},{x2:g},{y2:g}\n"
        for f, i, x1, y1, x2, y2 in frames.rows.tolist()
    )
    (root / "boxes.csv").write_text("image,id,x1,y1,x2,y2\n" + "".join(lines))
    return dict(
        type="FootageFrameDataset",
        data_root=str(root),
        frames="photos",
        ann_file="boxes.csv",
    )


def write_mot_text(frames: Frames, root: Path) -> dict:
    for image in frames.images:
        _link(image, root / "photos" / f"shot {image.name}", root)
    lines = (
        f"{f + 1:.0f},{i:.0f},{x1:g},{y1:g},{x2 - x1:g},{y2 - y1:g},1,1,1\n"
        for f, i, x1, y1, x2, y2 in frames.rows.tolist()
    )
    (root / "boxes.txt").write_text("".join(lines))
    return dict(
        type="FootageFrameDataset",
        data_root=str(root),
        frames="photos",
        ann_file="boxes.txt",
    )


WRITERS = {
    "jde": write_jde,
    "coco": write_coco,
    "visdrone": write_visdrone,
    "bdd100k": write_bdd100k,
    "kitti": write_kitti,
    "csv": write_csv,
    "mot text": write_mot_text,
}


def write_crowdhuman(frames: Frames, root: Path) -> dict:
    """Single images: every box is another identity."""
    lines = []
    for number, image in enumerate(frames.images):
        _link(image, root / "Images" / f"{image.stem}.jpg", root)
        boxes = [
            dict(tag="person", fbox=[x1, y1, x2 - x1, y2 - y1], extra=dict(ignore=0))
            for _, x1, y1, x2, y2 in frames.of(number).tolist()
        ]
        lines.append(json.dumps(dict(ID=image.stem, gtboxes=boxes)))
    (root / "annotation_train.odgt").write_text("\n".join(lines))
    return dict(
        type="CrowdHumanFrameDataset",
        data_root=str(root),
        ann_file="annotation_train.odgt",
    )


def read_mot(sequence: Path, size: tuple[int, int]) -> Frames:
    """Considered pedestrians of a MOT sequence, sorted as its reader sorts them."""
    rows = np.loadtxt(sequence / "gt/gt.txt", delimiter=",", ndmin=2)
    rows = rows[(rows[:, 6] != 0) & (rows[:, 7] == 1), :6]
    rows = rows[np.lexsort((rows[:, 1], rows[:, 0]))]
    rows[:, 4:6] += rows[:, 2:4]
    rows[:, 0] -= 1
    return Frames(sorted((sequence / "img1").iterdir()), size, rows)


def _link(image: Path, to: Path, root: Path) -> str:
    to.parent.mkdir(parents=True, exist_ok=True)
    to.symlink_to(image)
    return str(to.relative_to(root))
