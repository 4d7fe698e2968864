"""Everything that is wrong with training data, by file and line."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image
from rich.progress import track

from fairmot_mm.formats.annotation_errors import Fault, collect_faults, report
from fairmot_mm.formats.mot import line_of_key
from fairmot_mm.formats.video_file import read_frame
from fairmot_mm.registry import DATASETS

from .frame_dataset import FrameDataset, image_size
from .frame_records import NO_FRAME, FrameRecords
from .joint_dataset import JointDataset

# What check_source() looks at beyond what reading does.
_BROKEN, _SIZE, _OUTSIDE = "broken image", "size mismatch", "box outside the image"
_TWICE, _DUPLICATE, _GAP = "image twice", "duplicate box", "gap"


def check_datasets(config: dict) -> tuple[list[Fault], list[FrameDataset]]:
    """Read a whole data set and find what is wrong with it.

    Args:
        config (dict): Config of a source, of a :class:`JointDataset`, or of a wrapper
            around them.

    Returns:
        tuple[list[Fault], list[FrameDataset]]: The faults, and the sources that could
        be read.

    Raises:
        TypeError: If there is a dataset of another kind.
    """
    found, sources = [], []
    for source in _source_configs(config):
        with collect_faults() as faults:
            dataset = _opened(source)
            if dataset is not None:
                check_source(dataset)
                sources.append(dataset)
        found += faults
    return found, sources


def check_source(dataset: FrameDataset) -> None:
    """Check images and boxes of a source that has been read.

    What is wrong goes to :func:`.faults.report`.
    """
    records = dataset.records
    _check_repeated_images(records)
    sizes = _check_images(dataset)
    _check_boxes(dataset, sizes)
    if dataset.ordered:
        _check_gaps(dataset)


def _source_configs(config: dict) -> Iterator[dict]:
    """Configs of the sources in a mixture or a wrapper."""
    kind = DATASETS.get(config["type"]) if isinstance(config["type"], str) else None
    if "datasets" in config:
        for source in config["datasets"]:
            yield from _source_configs(source)
    elif "dataset" in config:
        yield from _source_configs(config["dataset"])
    elif kind is None or not issubclass(kind, FrameDataset):
        raise TypeError(
            f"{config['type']} is no source of frames with identities, such as "
            f"MOTFrameDataset, nor {JointDataset.__name__} of them"
        )
    else:
        yield config


def _opened(config: dict) -> FrameDataset | None:
    """Read a source; what makes that impossible is a fault, too."""
    try:
        return DATASETS.build(dict(config, pipeline=[], lazy_init=False))
    except (OSError, ValueError) as error:
        place = config.get("ann_file") or config.get("data_root", config["type"])
        report("unreadable data set", place, None, str(error))
        return None


def _check_repeated_images(records: FrameRecords) -> None:
    seen: set[tuple[str, int]] = set()
    for index in range(len(records)):
        key = records.paths[index], int(records.frames[index])
        if key in seen:
            part = records.part_files[int(records.parts[index])]
            report(_TWICE, part, None, f"{key[0]} is there twice, expected once")
        seen.add(key)


def _check_images(dataset: FrameDataset) -> np.ndarray:
    """Decode all images; returns their sizes (N, 2), 0 where they are broken."""
    records, title = dataset.records, f"Images of {dataset.name}"
    sizes = np.zeros((len(records), 2), np.int64)
    for index in track(range(len(records)), title):
        path, frame = records.paths[index], int(records.frames[index])
        try:
            if frame == NO_FRAME:
                with Image.open(path) as image:
                    image.load()
                sizes[index] = image_size(path)
            else:
                sizes[index] = read_frame(path, frame).shape[1::-1]
        except Exception as error:  # whatever a decoder may raise
            where = "" if frame == NO_FRAME else f"frame {frame + 1}: "
            report(_BROKEN, path, None, f"{where}cannot be decoded: {error}")
            continue
        claimed = records.sizes[index]
        if (claimed > 0).all() and (claimed != sizes[index]).any():
            _report_size(dataset, index, sizes[index])
    return sizes


def _report_size(dataset: FrameDataset, index: int, size: np.ndarray) -> None:
    file = Path(dataset.annotation_file(index))
    info = file.parents[1] / "seqinfo.ini" if len(file.parents) > 1 else file
    line, claimed = None, dataset.records.sizes[index]
    if info.is_file():
        wrong = "imWidth" if size[0] != claimed[0] else "imHeight"
        file, line = info, line_of_key(info, wrong)
    report(
        _SIZE,
        file,
        line,
        f"{claimed[0]} x {claimed[1]} pixels, but {dataset.records.paths[index]} has "
        f"{size[0]} x {size[1]}",
    )


def _check_boxes(dataset: FrameDataset, sizes: np.ndarray) -> None:
    """Boxes that no pixel of the image belongs to, and boxes that are there twice."""
    records = dataset.records
    images = records.images
    limit = np.ones_like(sizes) if records.normalized else sizes
    limit = limit[images]
    outside = (records.boxes[:, :2] >= limit) | (records.boxes[:, 2:] <= 0)
    outside = outside.any(1) & (sizes[images] > 0).all(1) & ~records.ignored
    for row in np.flatnonzero(outside):
        width, height = sizes[images[row]]
        unit = (width, height, width, height) if records.normalized else 1
        box = ", ".join(f"{value:g}" for value in records.boxes[row] * unit)
        text = f"box ({box}) is outside the image of {width} x {height} pixels"
        _report_box(dataset, _OUTSIDE, row, images[row], text)

    keys = np.column_stack((images, records.labels, records.boxes))
    order = np.lexsort((records.lines, *keys.T[::-1]))
    same = (keys[order[1:]] == keys[order[:-1]]).all(1)
    same &= ~records.ignored[order[1:]] & ~records.ignored[order[:-1]]
    for first, second in zip(order[:-1][same], order[1:][same], strict=True):
        line = records.lines[first]
        text = "the same box is there before" + (f", on line {line}" if line else "")
        _report_box(dataset, _DUPLICATE, second, images[second], text)


def _check_gaps(dataset: FrameDataset) -> None:
    """Identities that are away for some frames and come back."""
    records = dataset.records
    images = records.images
    rows = np.flatnonzero(records.identities >= 0)
    key = records.identities[rows].astype(np.int64)
    if dataset.per_class_ids:
        key += records.labels[rows] * (int(key.max(initial=0)) + 1)
    sorting = np.lexsort((images[rows], key))
    order, key = rows[sorting], key[sorting]
    frames = images[order]
    # Numbered within their class, identities are so over all parts.
    same = (key[1:] == key[:-1]) & (
        records.parts[frames[1:]] == records.parts[frames[:-1]]
    )
    away = np.diff(frames) - 1
    for place in np.flatnonzero(same & (away > 0)):
        before, after = order[place], order[place + 1]
        line = records.lines[before]
        missed = f"{away[place]} frame" + ("s" if away[place] > 1 else "")
        text = f"its identity was away for {missed}" + (
            f", last seen on line {line}" if line else ""
        )
        _report_box(dataset, _GAP, after, images[after], text)


def _report_box(
    dataset: FrameDataset, kind: str, row: int, image: int, text: str
) -> None:
    line = int(dataset.records.lines[row])
    path = dataset.records.paths[int(image)]
    file = dataset.annotation_file(int(image))
    # Without lines the image tells where to look.
    report(kind, file, line or None, text if line else f"{path}: {text}")
