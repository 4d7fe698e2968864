"""Frames of files, streams, cameras and folders."""

import math
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from fairmot_mm.formats.images import IMAGES, image_names, read_image

# Used when the source reports no frame rate.
DEFAULT_FRAME_RATE = 30.0


def open_source(source: str | Path | int) -> tuple[float, Iterator[np.ndarray]]:
    """Frame rate and frames (H, W, 3), BGR uint8, of a source.

    Args:
        source: Video file or stream, number of a camera, or folder of images.

    Raises:
        OSError: It cannot be opened.
        ValueError: A folder has no images, or only some are named by numbers.
    """
    if not isinstance(source, int) and Path(source).is_dir():
        names = image_names(Path(source))
        if not names:
            raise ValueError(f"no image in {source}: looked for {', '.join(IMAGES)}")
        return DEFAULT_FRAME_RATE, (read_image(Path(source) / name) for name in names)
    capture = cv2.VideoCapture(source if isinstance(source, int) else str(source))
    if not capture.isOpened():
        raise OSError(
            f"unreadable video {source}: give a video file or stream, the number of a "
            "camera, or a folder of images"
        )
    frame_rate = capture.get(cv2.CAP_PROP_FPS)
    if not 0 < frame_rate < math.inf:  # 0, -1 or NaN if it is unknown
        frame_rate = DEFAULT_FRAME_RATE
    return frame_rate, _frames(capture)


def _frames(capture: cv2.VideoCapture) -> Iterator[np.ndarray]:
    try:
        while True:
            found, frame = capture.read()
            if not found:
                return
            yield frame
    finally:
        capture.release()
