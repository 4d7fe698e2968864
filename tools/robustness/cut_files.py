"""Cut images and videos at random places and check that no cut goes unnoticed."""

import argparse
import io
import json
import logging
import sys
import tempfile
from collections import Counter
from pathlib import Path

import cv2
import numpy as np
from mmengine.logging import MMLogger
from mmengine.registry import init_default_scope

from fairmot_mm.formats.images import read_image
from fairmot_mm.registry import TRANSFORMS
from fairmot_mm.streams import open_source
from fairmot_mm.synthetic import make_sequence

IMAGES = (".jpg", ".png", ".bmp", ".webp", ".tif")
VIDEOS = {".mp4": "mp4v", ".avi": "MJPG", ".mkv": "mp4v"}


def main() -> None:
    """Cut files and print what happened."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=200, help="cuts per format")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, help="file for the counts, as JSON")
    args = parser.parse_args()
    counts = run(args.count, args.seed)
    print(json.dumps(counts, indent=1))
    if args.out is not None:
        args.out.write_text(json.dumps(counts, indent=1))
    sys.exit(any(count["unnoticed"] for count in counts.values()))


def run(count: int, seed: int) -> dict[str, Counter[str]]:
    """Cut a file of every format ``count`` times.

    Returns:
        Outcomes by format: ``refused`` by an error that names the file, ``warned``
        that a video ended early, ``same frames`` as before, ``last frame incomplete``
        (a decoder of videos fills it up and tells nobody), or ``unnoticed``.
    """
    init_default_scope("fairmot_mm")
    rng = np.random.default_rng(seed)
    outcomes: dict[str, Counter[str]] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_sequence(
            folder, "SYN", num_frames=20, num_people=3, size=(160, 96), seed=seed
        )
        frames = [read_image(path) for path in sorted(folder.glob("SYN/img1/*"))]
        for suffix in (*IMAGES, *VIDEOS):
            path = folder / f"whole{suffix}"
            write(path, frames)
            expected, content = read(path), path.read_bytes()
            outcomes[suffix] = Counter(unnoticed=0)
            cut = folder / f"cut{suffix}"
            for length in rng.integers(len(content), size=count).tolist():
                cut.write_bytes(content[:length])
                outcomes[suffix][judge(cut, expected)] += 1
    return outcomes


def write(path: Path, frames: list[np.ndarray]) -> None:
    """Write the frames to a video, or the first one to an image."""
    if path.suffix in IMAGES:
        cv2.imwrite(str(path), frames[0])
        return
    size = frames[0].shape[1::-1]
    code = cv2.VideoWriter.fourcc(*VIDEOS[path.suffix])
    writer = cv2.VideoWriter(str(path), code, 10, size)
    for frame in frames:
        writer.write(frame)
    writer.release()


def read(path: Path) -> list[np.ndarray]:
    """Frames of a file, as training and tracking read them."""
    if path.suffix not in IMAGES:
        return [*open_source(path)[1]]
    try:
        image = read_image(path)
    except OSError:
        # Training must refuse it as well.
        TRANSFORMS.build(dict(type="CheckedLoadImageFromFile"))(
            dict(img_path=str(path))
        )
        return []
    return [image]


def judge(path: Path, expected: list[np.ndarray]) -> str:
    """Outcome of reading a file that was cut."""
    told = io.StringIO()
    logger = MMLogger.get_current_instance()
    logger.handlers = [logging.StreamHandler(told)]
    try:
        found = read(path)
    except OSError as error:
        return "refused" if str(path) in str(error) else "unnoticed"
    if str(path) in told.getvalue():
        return "warned"
    if len(found) != len(expected) or not np.array_equal(found[:-1], expected[:-1]):
        return "unnoticed"
    same = np.array_equal(found[-1], expected[-1])
    if same:
        return "same frames"
    return "unnoticed" if path.suffix in IMAGES else "last frame incomplete"


if __name__ == "__main__":
    main()
