import os
import re
from collections.abc import Iterable
from functools import cache
from pathlib import Path

import cv2
import numpy as np
from PIL import ExifTags, Image

from .annotation_errors import AnnotationError, ErrorSink, raise_error
from .writing import write_file

IMAGES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff")


def read_image(path: str | Path) -> np.ndarray:
    """Read an image, (H, W, 3) BGR uint8; OSError if it is missing or cut off."""
    try:
        content = np.frombuffer(Path(path).read_bytes(), np.uint8)
    except OSError as error:
        raise OSError(f"unreadable image {path}: {error.strerror}") from error
    # Unlike imread, imdecode reads any path on Windows and refuses half an image.
    image = cv2.imdecode(content, cv2.IMREAD_COLOR) if len(content) else None
    if image is None:
        raise OSError(f"unreadable image {path}: it is broken, cut off or no image")
    return image


def write_image(path: str | Path, image: np.ndarray) -> None:
    """Write an image, (H, W, 3) BGR uint8, in the format of its name, or not at all."""
    write_file(Path(path), cv2.imencode(Path(path).suffix, image)[1].tobytes())


def image_size(path: str | Path) -> tuple[int, int]:
    """Width and height as loaded, from the header alone; OSError if it is broken."""
    try:
        with Image.open(path) as image:
            width, height = image.size
            rotated = image.getexif().get(ExifTags.Base.Orientation, 1) >= 5
            return (height, width) if rotated else (width, height)
    except Exception as error:
        raise OSError(f"unreadable image {path}: {error}. Restore the file") from error


def image_names(folder: Path) -> list[str]:
    """Images of a folder in order: ``frame2.jpg`` comes before ``frame10.jpg``.

    Hidden files, such as those that macOS writes beside others, are left out. The list
    is empty if there is no such folder.

    Raises:
        ValueError: Some names are numbers and others are not.
    """
    files = [path.name for path in folder.iterdir()] if folder.is_dir() else []
    names = [name for name in files if name.lower().endswith(IMAGES)]
    names = [name for name in names if not name.startswith(".")]
    names.sort(key=lambda name: (_natural_order(Path(name).stem), name))
    first = {_number(name) is None: name for name in reversed(names)}
    if len(first) == 2:
        raise ValueError(
            f"{folder}: {first[False]} is named by its number, {first[True]} is not, "
            "so their order is unknown: remove or rename the odd one"
        )
    return names


def frame_images(folder: Path) -> tuple[list[str], np.ndarray]:
    """Paths and frame numbers (n,) of a sequence's images, in order.

    The numbers are their names where these are numbers, otherwise counted from 1 in the
    order of :func:`image_names`.

    Raises:
        FileNotFoundError: There is no image.
        ValueError: Two images have the same number, or some have one and others not.
    """
    names = image_names(folder)
    if not names:
        raise FileNotFoundError(f"{folder}: no images; check data_root and the folder")
    numbers = np.array([_number(name) for name in names])
    if numbers[0] is None:
        numbers = np.arange(1, len(names) + 1)
    repeated = np.flatnonzero(np.diff(numbers) == 0)
    if len(repeated):
        first, second = names[repeated[0] : repeated[0] + 2]
        raise ValueError(f"{folder}: {first} and {second} are the same frame")
    return [str(folder / name) for name in names], numbers


def report_missing_images(
    paths: Iterable[str], source: object, errors: ErrorSink = raise_error
) -> np.ndarray:
    """Mask (N,) of the images that are there; the missing ones are reported.

    Args:
        paths: N files.
        source: What lists them, for the message.
        errors: Takes the missing ones.
    """
    files_by_name = cache(_files_by_name)
    present, missing = [], []
    # Strings, as a million instances of Path would take seconds.
    for path in paths:
        folder, name = os.path.split(path)
        files = files_by_name(folder)
        found = files.get(name) or files.get(name.lower())
        # The file system, too, may take upper and lower case for the same.
        present.append(found == path or (found is not None and Path(path).exists()))
        if not present[-1]:
            missing.append((path, found))
    text = (
        f"missing, and {len(missing) - 1} more of {len(present)} images of {source}: "
        "correct data_root (or seqLength, imDir and imExt in seqinfo.ini), or restore "
        "the images"
    )
    for path, found in missing:
        if found is not None:
            text = f"missing, in {source}: there is {found}, so correct the case"
        exception = FileNotFoundError(f"{path}: {text}")
        errors(AnnotationError("missing image", path, None, text, exception))
        text = "missing"
    return np.array(present, bool)


def _files_by_name(folder: str) -> dict[str, str]:
    """Paths of the files of a folder, by their names and these in lower case."""
    place = _in_any_case(Path(folder))
    if place is None:
        return {}
    written = folder if place == Path(folder) else place
    files = {x.name: os.path.join(written, x.name) for x in place.iterdir()}  # noqa: PTH118
    return {name.lower(): path for name, path in files.items()} | files


def _in_any_case(folder: Path) -> Path | None:
    """A folder, or one whose path differs in upper and lower case alone."""
    if folder.is_dir() or folder == folder.parent:
        return folder
    parent = _in_any_case(folder.parent)
    if parent is None:
        return None
    name = folder.name.lower()
    return next((p for p in parent.iterdir() if p.name.lower() == name), None)


def _number(name: str) -> int | None:
    """The number that is the name of an image."""
    stem = Path(name).stem
    return int(stem) if stem.isascii() and stem.isdigit() else None


def _natural_order(stem: str) -> list[str | int]:
    """Text and numbers in turn, which compare one by one."""
    parts = re.split("([0-9]+)", stem)
    return [int(part) if i % 2 else part for i, part in enumerate(parts)]
