from pathlib import Path

import cv2
import numpy as np


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
