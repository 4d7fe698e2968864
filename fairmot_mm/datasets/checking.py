"""Checks of whole data sets, beyond what reading them needs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from rich.progress import track

from fairmot_mm.formats.annotation_errors import AnnotationError, ErrorSink
from fairmot_mm.formats.images import read_image
from fairmot_mm.formats.mot import line_of_key, read_sequence
from fairmot_mm.formats.video_file import VideoFile, read_frame
from fairmot_mm.registry import DATASETS

from .frame_dataset import FrameDataset
from .frame_records import NO_FRAME, FrameRecords
from .joint_dataset import JointDataset


def check_datasets(config: dict) -> tuple[list[AnnotationError], list[FrameDataset]]:
    """Read a whole data set and find what is wrong with it.

    Args:
        config: Config of a source, of a :class:`JointDataset`, or of a wrapper around
            them.

    Returns:
        The errors, and the sources that could be read.

    Raises:
        TypeError: There is a dataset of another kind.
    """
    errors: list[AnnotationError] = []
    sources = []
    for source in _source_configs(config):
        try:
            dataset = DATASETS.build(dict(source, pipeline=[], lazy_init=True))
            dataset.full_init(errors.append)
        except (OSError, ValueError) as error:
            place = source.get("ann_file") or source.get("data_root", source["type"])
            kind = "unreadable data set"
            errors.append(AnnotationError(kind, place, None, str(error)))
            continue
        check_source(dataset, errors.append)
        sources.append(dataset)
    return errors, sources


def check_source(dataset: FrameDataset, errors: ErrorSink) -> None:
    """Check images and boxes of a source that has been read."""
    _check_repeated_images(dataset, errors)
    _check_lengths(dataset.records, errors)
    _check_frame_rates(dataset.records, errors)
    sizes = _check_images(dataset, errors)
    _check_outside(dataset, sizes, errors)
    _check_duplicates(dataset, errors)
    if dataset.ordered:
        _check_gaps(dataset, errors)


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


def _check_repeated_images(dataset: FrameDataset, errors: ErrorSink) -> None:
    records = dataset.records
    seen: set[tuple[str, int]] = set()
    for index in range(len(records)):
        key = records.paths[index], int(records.frames[index])
        if key in seen:
            file, text = dataset.annotation_file(index), f"{key[0]} is there twice"
            errors(AnnotationError("image twice", file, None, f"{text}, expected once"))
        seen.add(key)


def _check_lengths(records: FrameRecords, errors: ErrorSink) -> None:
    """Images of MOTChallenge folders beyond the length of the sequence."""
    for index in range(len(records.annotation_files)):
        info = _sequence_info(records.annotation_files[index])
        if info is None:
            continue
        sequence = read_sequence(info.parent)
        names = (info.parent / sequence.image_dir).glob(f"*{sequence.extension}")
        known = {sequence.image_path(i + 1).name for i in range(sequence.length)}
        extra = sorted({path.name for path in names} - known)
        if extra:
            text = (
                f"seqLength is {sequence.length}, but {sequence.image_dir} has "
                f"{len(extra)} images more, such as {extra[0]}"
            )
            line = line_of_key(info, "seqLength")
            errors(AnnotationError("size mismatch", info, line, text))


def _check_frame_rates(records: FrameRecords, errors: ErrorSink) -> None:
    """Videos whose frames do not follow each other at the same interval."""
    rows = np.flatnonzero(records.frames != NO_FRAME).tolist()
    for path in dict.fromkeys(records.paths[row] for row in rows):
        gaps = VideoFile(path).frame_gaps
        if len(gaps) and gaps.max() > 1.5 * gaps.min():
            text = (
                f"its frames are {gaps.min():.0f} to {gaps.max():.0f} ms apart; they "
                "are counted in their order, which other programs may not do: before "
                f"annotating, ffmpeg -i {path} -fps_mode cfr constant.mp4"
            )
            errors(AnnotationError("varying frame rate", path, None, text))


def _sequence_info(annotation_file: str) -> Path | None:
    """The ``seqinfo.ini`` that belongs to a ``gt/gt.txt``, if there is one."""
    path = Path(annotation_file).parent.parent / "seqinfo.ini"
    return path if path.is_file() else None


def _check_images(dataset: FrameDataset, errors: ErrorSink) -> np.ndarray:
    """Decode all images; returns their sizes (N, 2), 0 where they are broken."""
    records, title = dataset.records, f"Images of {dataset.name}"
    sizes = np.zeros((len(records), 2), np.int64)
    for index in track(range(len(records)), title):
        path, frame = records.paths[index], int(records.frames[index])
        try:
            image = read_image(path) if frame == NO_FRAME else read_frame(path, frame)
            sizes[index] = image.shape[1::-1]
        except Exception as error:  # whatever a decoder may raise
            where = "" if frame == NO_FRAME else f"frame {frame + 1}: "
            text = f"{where}cannot be decoded: {error}"
            errors(AnnotationError("broken image", path, None, text))
            continue
        claimed = records.sizes[index]
        if (claimed > 0).all() and (claimed != sizes[index]).any():
            _report_size(dataset, index, sizes[index], errors)
    return sizes


def _report_size(
    dataset: FrameDataset, index: int, size: np.ndarray, errors: ErrorSink
) -> None:
    file: str | Path = dataset.annotation_file(index)
    line, claimed = None, dataset.records.sizes[index]
    info = _sequence_info(str(file))
    if info is not None:
        wrong = "imWidth" if size[0] != claimed[0] else "imHeight"
        file, line = info, line_of_key(info, wrong)
    text = (
        f"{claimed[0]} x {claimed[1]} pixels, but {dataset.records.paths[index]} has "
        f"{size[0]} x {size[1]}"
    )
    errors(AnnotationError("size mismatch", file, line, text))


def _check_outside(dataset: FrameDataset, sizes: np.ndarray, errors: ErrorSink) -> None:
    """Boxes that no pixel of the image belongs to."""
    records = dataset.records
    images = records.images
    limit = (np.ones_like(sizes) if records.normalized else sizes)[images]
    outside = (records.boxes[:, :2] >= limit) | (records.boxes[:, 2:] <= 0)
    outside = outside.any(1) & (sizes[images] > 0).all(1) & ~records.ignored
    for row in np.flatnonzero(outside).tolist():
        width, height = sizes[images[row]]
        unit = (width, height, width, height) if records.normalized else 1
        box = ", ".join(f"{value:g}" for value in records.boxes[row] * unit)
        text = f"box ({box}) is outside the image of {width} x {height} pixels"
        _report_box(dataset, "box outside the image", row, text, errors)


def _check_duplicates(dataset: FrameDataset, errors: ErrorSink) -> None:
    """Boxes that an image has twice."""
    records = dataset.records
    images = records.images
    keys = np.column_stack((images, records.labels, records.boxes))
    order = np.lexsort((records.lines, *keys.T[::-1]))
    same = (keys[order[1:]] == keys[order[:-1]]).all(1)
    same &= ~records.ignored[order[1:]] & ~records.ignored[order[:-1]]
    for first, second in zip(
        order[:-1][same].tolist(), order[1:][same].tolist(), strict=True
    ):
        line = records.lines[first]
        text = "the same box is there before" + (f", on line {line}" if line else "")
        _report_box(dataset, "duplicate box", second, text, errors)


def _check_gaps(dataset: FrameDataset, errors: ErrorSink) -> None:
    """Identities that are missing from some frames and come back."""
    records = dataset.records
    images = records.images
    rows = np.flatnonzero(records.identities >= 0)
    key = records.identities[rows].astype(np.int64)
    if dataset.per_class_ids:
        key += records.labels[rows] * (int(key.max(initial=0)) + 1)
    sorting = np.lexsort((images[rows], key))
    order, key = rows[sorting], key[sorting]
    frames = images[order]
    # Where they are numbered within their class, sequences may share a number.
    sequence = records.sequence_index[frames]
    same = (key[1:] == key[:-1]) & (sequence[1:] == sequence[:-1])
    away = np.diff(frames) - 1
    for place in np.flatnonzero(same & (away > 0)):
        before, after = order[place : place + 2].tolist()
        line = records.lines[before]
        missed = f"{away[place]} frame" + ("s" if away[place] > 1 else "")
        text = f"its identity was away for {missed}" + (
            f", last seen on line {line}" if line else ""
        )
        _report_box(dataset, "gap", after, text, errors)


def _report_box(
    dataset: FrameDataset, kind: str, row: int, text: str, errors: ErrorSink
) -> None:
    line = int(dataset.records.lines[row])
    image = int(np.searchsorted(dataset.records.starts, row, "right")) - 1
    path, file = dataset.records.paths[image], dataset.annotation_file(image)
    # Without lines the image tells where to look.
    text = text if line else f"{path}: {text}"
    errors(AnnotationError(kind, file, line or None, text))
