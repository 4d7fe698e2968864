"""Frames of files, streams, cameras and folders."""

from collections.abc import Generator
from pathlib import Path

import cv2
import numpy as np
from mmengine.logging import MMLogger

from fairmot_mm.formats.images import IMAGES, image_names, read_image
from fairmot_mm.structures.frame_rate import (
    DEFAULT_FRAME_RATE,
    checked_frame_rate,
    usable_frame_rate,
)

Frames = Generator[np.ndarray, None, None]


def open_source(
    source: str | Path | int, frame_rate: float | None = None
) -> tuple[float, Frames]:
    """Frame rate and frames (H, W, 3), BGR uint8, of a source.

    Args:
        source: Video file or stream, number of a camera, or folder of images.
        frame_rate: Replaces the one that the source reports.

    Raises:
        OSError: It cannot be opened.
        ValueError: A folder has no images, or only some are named by numbers; or
            ``frame_rate`` is not one that a camera can have.
    """
    if frame_rate is not None:
        frame_rate = checked_frame_rate(frame_rate)
    if not isinstance(source, int) and Path(source).is_dir():
        names = image_names(Path(source))
        if not names:
            raise ValueError(f"no image in {source}: looked for {', '.join(IMAGES)}")
        frames = (read_image(Path(source) / name) for name in names)
        return frame_rate or DEFAULT_FRAME_RATE, frames
    capture = cv2.VideoCapture(source if isinstance(source, int) else str(source))
    if not capture.isOpened():
        raise OSError(
            f"unreadable video {source}: give a video file or stream, the number of a "
            "camera, or a folder of images"
        )
    if frame_rate is None:
        frame_rate = usable_frame_rate(capture.get(cv2.CAP_PROP_FPS), source)
    return frame_rate, _frames(capture, source)


def _frames(capture: cv2.VideoCapture, source: str | Path | int) -> Frames:
    announced, count = capture.get(cv2.CAP_PROP_FRAME_COUNT), 0
    try:
        found, frame = capture.read()
        while found:
            yield frame
            count += 1
            found, frame = capture.read()
        if count < announced:
            MMLogger.get_current_instance().warning(
                f"{source}: ended after {count} of {announced:.0f} announced frames, "
                "so it may be cut off"
            )
    finally:
        capture.release()
