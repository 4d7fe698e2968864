"""Frames for calibration and comparison, as an exported network takes them."""

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
from mmengine.config import Config
from mmengine.dataset import BaseDataset
from mmengine.registry import init_default_scope

from fairmot_mm.formats.images import IMAGES
from fairmot_mm.formats.video_file import VideoFile, read_frame
from fairmot_mm.registry import DATASETS
from fairmot_mm.structures.letterbox import letterbox


def read_frames(
    source: str | Path | Config, size: tuple[int, int], count: int
) -> list[np.ndarray]:
    """Frames spread evenly over a source, letterboxed: (1, H, W, 3) BGR uint8 each.

    Args:
        source: Video file; folder of images or of folders with images; or config, whose
            training data are read.
        size: Width and height of the network input.
        count: Greatest number of frames.

    Raises:
        OSError: If the source, or an image of it, cannot be read.
        ValueError: If there is no image.
    """
    if isinstance(source, Config):
        init_default_scope(source.get("default_scope", "fairmot_mm"))
        images = _training_images(DATASETS.build(source.train_dataloader.dataset))
    elif Path(source).is_dir():
        images = [
            (str(path), None)
            for path in sorted(Path(source).rglob("*"))
            if path.suffix.lower() in IMAGES and not path.name.startswith(".")
        ]
    else:
        images = [(str(source), i) for i in range(len(VideoFile(str(source))))]
    if not images:
        raise ValueError(f"no image in {source}: looked for {', '.join(IMAGES)}")
    chosen = np.linspace(0, len(images) - 1, min(count, len(images))).round()
    frames = (
        read_frame(path, number) for path, number in (images[int(i)] for i in chosen)
    )
    return [letterbox(frame, size)[0][None] for frame in frames]


def _training_images(dataset: BaseDataset) -> list[tuple[str, int | None]]:
    """Path, and frame number in videos, of each image of a training data set."""
    records = (dataset.get_data_info(i) for i in range(len(dataset)))
    return [(record["img_path"], record.get("frame_index")) for record in records]


def made_up_frames(size: tuple[int, int], count: int = 3) -> Iterator[np.ndarray]:
    """Frames of coloured blobs, (1, H, W, 3) uint8."""
    rng = np.random.default_rng(0)
    width, height = size
    for _ in range(count):
        small = rng.integers(0, 256, (height // 8, width // 8, 3), np.uint8)
        yield cv2.resize(small, size, interpolation=cv2.INTER_CUBIC)[None]
