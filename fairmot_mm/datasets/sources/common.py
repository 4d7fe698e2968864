"""What sources of sequences share."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import numpy as np

from fairmot_mm.formats.images import image_names, is_number
from fairmot_mm.formats.tables import NumberTable

from ..frame_records import Boxes, RecordsBuilder


def annotation_files(folder: Path, pattern: str) -> list[Path]:
    """Annotation files of a folder, sorted, without hidden ones.

    Raises:
        FileNotFoundError: There is none.
    """
    found = [path for path in folder.glob(pattern) if not path.name.startswith(".")]
    if not found:
        raise FileNotFoundError(
            f"{folder}: no annotation file {pattern}; check data_root"
        )
    return sorted(found)


def frame_images(folder: Path) -> tuple[list[str], np.ndarray]:
    """Images of a sequence in order.

    Returns:
        n paths, and their frame numbers (n,): their names where all of them are
        numbers, otherwise counted from 1 in the order of the names, where
        ``frame2.jpg`` comes before ``frame10.jpg``.

    Raises:
        FileNotFoundError: There is no image.
        ValueError: Two images have the same number, or some have one and others not.
    """
    names = image_names(folder)
    if not names:
        raise FileNotFoundError(f"{folder}: no images; check data_root and the folder")
    stems = [Path(name).stem for name in names]
    numbers = np.arange(1, len(names) + 1)
    if is_number(stems[0]):
        numbers = np.array([int(stem) for stem in stems])
        twice = np.flatnonzero(np.diff(numbers) == 0)
        if len(twice):
            first, second = names[twice[0]], names[twice[0] + 1]
            raise ValueError(f"{folder}: {first} and {second} are the same frame")
    return [str(folder / name) for name in names], numbers


def with_images(table: NumberTable, numbers: np.ndarray, folder: Path) -> NumberTable:
    """Report rows whose frame (column 0) is not among the images."""
    return table.without(
        "frame outside the sequence",
        ~np.isin(table.values[:, 0], numbers),
        lambda row: (
            f"frame {row[0]:.0f} has no image in {folder}, which has "
            f"{numbers[0]} to {numbers[-1]}"
        ),
    )


def count_boxes(frames: np.ndarray, numbers: np.ndarray) -> np.ndarray:
    """Boxes of each image (n,), from frames (m,) that ascend."""
    return np.bincount(np.searchsorted(numbers, frames), minlength=len(numbers))


def add_sequence(
    builder: RecordsBuilder,
    images: list[str],
    numbers: np.ndarray,
    table: NumberTable,
    boxes: np.ndarray,
    classes: np.ndarray,
    ignored: np.ndarray,
    labels: np.ndarray,
    left_out: Counter[str],
) -> None:
    """Add a sequence of which some classes are wanted.

    Args:
        builder: What to add to.
        images: n images.
        numbers: (n,) their frame numbers, ascending.
        table: Frame and identity in its first columns, sorted by frame.
        boxes: (m, 4) xyxy of its rows.
        classes: (m,) class numbers.
        ignored: (m,) mask of what is to be ignored, of whatever class.
        labels: Label of each class number, -1 for what is not wanted.
        left_out: Counts what is left out.
    """
    kept = ignored | (labels[classes] >= 0)
    left_out["of other classes"] += int((~kept).sum())
    builder.add(
        images,
        Boxes(
            counts=count_boxes(table.values[kept, 0], numbers),
            boxes=boxes[kept],
            labels=labels[classes[kept]].clip(0),
            identities=table.values[kept, 1].astype(np.int64),
            ignored=ignored[kept],
            lines=table.lines[kept],
        ),
        str(table.path),
    )


def class_table(wanted: tuple[str, ...], known: tuple[str, ...]) -> np.ndarray:
    """Label of each class number from 1, -1 for what is not wanted and for 0.

    Raises:
        ValueError: A class that is wanted is not known.
    """
    unknown = [name for name in wanted if name not in known]
    if unknown:
        raise ValueError(
            f"unknown class {unknown[0]!r} in metainfo.classes: choose from "
            f"{', '.join(known)}"
        )
    table = np.full(len(known) + 1, -1)
    for label, name in enumerate(wanted):
        table[known.index(name) + 1] = label
    return table


def read_json(path: Path) -> dict | list:
    """Read a JSON file.

    Raises:
        ValueError: ``FILE:LINE`` is no JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8-sig"))
    except json.JSONDecodeError as error:
        what = f"no JSON at column {error.colno}: {error.msg}"
        raise ValueError(f"{path}:{error.lineno}: {what}") from error
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: no text: {error}") from error
