"""Checks of whole data sets, beyond what reading them needs."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from rich.progress import track

from fairmot_mm.formats.annotation_errors import AnnotationError
from fairmot_mm.formats.mot import line_of_key, read_sequence
from fairmot_mm.formats.video_file import VideoFile
from fairmot_mm.registry import DATASETS

from .frame_dataset import FrameDataset
from .frame_records import NO_FRAME, FrameRecords
from .transforms.loading import CheckedLoadImageFromFile


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
        errors += check_source(dataset)
        sources.append(dataset)
    return errors, sources


def check_source(dataset: FrameDataset) -> Iterator[AnnotationError]:
    """Find what is wrong with the images and boxes of a source that has been read."""
    sizes = np.zeros((len(dataset), 2), np.int64)  # 0 where an image is broken
    yield from _check_lengths(dataset.records)
    yield from _check_frame_rates(dataset.records)
    yield from _check_images(dataset, sizes)
    yield from _check_outside(dataset, sizes)
    yield from _check_duplicates(dataset)
    if dataset.ordered:
        yield from _check_gaps(dataset)


def _source_configs(config: dict) -> Iterator[dict]:
    """Configs of the sources in a mixture or a wrapper."""
    kind = config["type"]
    if isinstance(kind, str):
        kind = DATASETS.get(kind)
    if "datasets" in config:
        for source in config["datasets"]:
            yield from _source_configs(source)
    elif "dataset" in config:
        yield from _source_configs(config["dataset"])
    elif isinstance(kind, type) and issubclass(kind, FrameDataset):
        yield config
    else:
        raise TypeError(
            f"{config['type']} is no source of frames with identities, such as "
            "MOTFrameDataset, nor JointDataset of them"
        )


def _check_lengths(records: FrameRecords) -> Iterator[AnnotationError]:
    """Images of MOTChallenge folders beyond the length of the sequence."""
    for info in filter(None, map(_sequence_info, records.annotation_files)):
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
            yield AnnotationError("size mismatch", info, line, text)


def _check_frame_rates(records: FrameRecords) -> Iterator[AnnotationError]:
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
            yield AnnotationError("varying frame rate", path, None, text)


def _sequence_info(annotation_file: str) -> Path | None:
    """The ``seqinfo.ini`` that belongs to a ``gt/gt.txt``, if there is one."""
    path = Path(annotation_file).parent.parent / "seqinfo.ini"
    return path if path.is_file() else None


def _check_images(
    dataset: FrameDataset, sizes: np.ndarray
) -> Iterator[AnnotationError]:
    """Decode all images, and fill in their ``sizes`` (N, 2)."""
    records, load = dataset.records, CheckedLoadImageFromFile()
    seen: set[tuple[str, int]] = set()
    for index in track(range(len(records)), f"Images of {dataset.name}"):
        path, frame = records.paths[index], int(records.frames[index])
        file = dataset.annotation_file(index)
        if (path, frame) in seen:
            text = f"{path} is there twice, expected once"
            yield AnnotationError("image twice", file, None, text)
        seen.add((path, frame))
        try:
            sizes[index] = load(records.file(index))["ori_shape"][::-1]
        except Exception as error:  # whatever a decoder may raise
            where = "" if frame == NO_FRAME else f"frame {frame + 1}: "
            text = f"{where}cannot be decoded: {error}"
            yield AnnotationError("broken image", path, None, text)
            continue
        (width, height), claimed = sizes[index], records.sizes[index]
        if (claimed > 0).all() and (claimed != sizes[index]).any():
            info, line = _sequence_info(file), None
            if info is not None:
                wrong = "imWidth" if width != claimed[0] else "imHeight"
                line = line_of_key(info, wrong)
            text = (
                f"{claimed[0]} x {claimed[1]} pixels, but {path} has {width} x {height}"
            )
            yield AnnotationError("size mismatch", info or file, line, text)


def _check_outside(
    dataset: FrameDataset, sizes: np.ndarray
) -> Iterator[AnnotationError]:
    """Boxes that no pixel of the image belongs to."""
    records = dataset.records
    sizes = sizes[records.images]
    boxes = records.boxes * (np.tile(sizes, 2) if records.normalized else 1)
    outside = (boxes[:, :2] >= sizes) | (boxes[:, 2:] <= 0)
    outside = outside.any(1) & (sizes > 0).all(1) & ~records.ignored
    for row in np.flatnonzero(outside).tolist():
        width, height = sizes[row]
        box = ", ".join(f"{value:g}" for value in boxes[row])
        text = f"box ({box}) is outside the image of {width} x {height} pixels"
        yield _box_error(dataset, "box outside the image", row, text)


def _check_duplicates(dataset: FrameDataset) -> Iterator[AnnotationError]:
    """Boxes that an image has twice."""
    records = dataset.records
    keys = np.column_stack((records.images, records.labels, records.boxes))
    order = np.lexsort((records.lines, *keys.T[::-1]))
    for first, second in _equal_pairs(keys, order[~records.ignored[order]]):
        line = records.lines[first]
        text = "the same box is there before" + (f", on line {line}" if line else "")
        yield _box_error(dataset, "duplicate box", second, text)


def _check_gaps(dataset: FrameDataset) -> Iterator[AnnotationError]:
    """Identities that are missing from some frames and come back."""
    records = dataset.records
    images, identities = records.images, records.identities
    keys = np.column_stack((identities, records.sequence_index[images]))
    if dataset.per_class_ids:  # which classes and sequences share
        keys = np.column_stack((keys, records.labels))
    order = np.lexsort((images, *keys.T))
    for before, after in _equal_pairs(keys, order[identities[order] >= 0]):
        if (away := images[after] - images[before] - 1) > 0:
            line = records.lines[before]
            text = f"its identity was away for {away} frame{'s' if away > 1 else ''}"
            text += f", last seen on line {line}" if line else ""
            yield _box_error(dataset, "gap", after, text)


def _equal_pairs(keys: np.ndarray, order: np.ndarray) -> Iterator[tuple[int, int]]:
    """Rows (M, k) that are equal and follow each other in an order."""
    pairs = np.column_stack((order[:-1], order[1:]))
    same = (keys[pairs[:, 0]] == keys[pairs[:, 1]]).all(1)
    yield from map(tuple, pairs[same].tolist())


def _box_error(
    dataset: FrameDataset, kind: str, row: int, text: str
) -> AnnotationError:
    line = int(dataset.records.lines[row])
    image = int(np.searchsorted(dataset.records.starts, row, "right")) - 1
    # Without lines the image tells where to look.
    text = text if line else f"{dataset.records.paths[image]}: {text}"
    return AnnotationError(kind, dataset.annotation_file(image), line or None, text)
