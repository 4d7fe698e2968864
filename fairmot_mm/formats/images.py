import os
import re
from pathlib import Path

import cv2
import numpy as np

IMAGES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff")


def image_names(folder: Path) -> list[str]:
    """Images of a folder in order: ``frame2.jpg`` comes before ``frame10.jpg``.

    Hidden files are none, such as those that macOS writes beside others.

    Args:
        folder (Path): The folder.

    Returns:
        list[str]: Names of the files; none if there is no such folder.

    Raises:
        ValueError: If some names are numbers and others are not.
    """
    found = os.listdir(folder) if folder.is_dir() else []
    found = [name for name in found if name.lower().endswith(IMAGES)]
    found = [name for name in found if not name.startswith(".")]
    found.sort(key=lambda name: (_natural_order(Path(name).stem), name))
    numbered = [name for name in found if is_number(Path(name).stem)]
    others = [name for name in found if not is_number(Path(name).stem)]
    if numbered and others:
        raise ValueError(
            f"{folder}: {numbered[0]} is named by its number, {others[0]} is not, so "
            "nobody knows their order: take out or rename the odd one"
        )
    return numbered or others


def is_number(stem: str) -> bool:
    """Whether a name without its ending is the number of a frame."""
    return stem.isascii() and stem.isdigit()


def _natural_order(stem: str) -> list[str | int]:
    """Text and numbers in turn, which compare one by one."""
    parts = re.split("([0-9]+)", stem)
    return [int(part) if i % 2 else part for i, part in enumerate(parts)]


def read_image(path: str | Path) -> np.ndarray:
    """Read an image file.

    Args:
        path (str | Path): The file.

    Returns:
        np.ndarray: (H, W, 3), BGR uint8.

    Raises:
        OSError: If it is missing or broken.
    """
    image = cv2.imread(str(path))
    if image is None:
        raise OSError(f"unreadable image {path}: it is missing or broken")
    return image
