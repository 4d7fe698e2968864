"""Track a long video with a stub network and record memory and processor time a frame.

Everything but the network is real: decoding, letterbox, preprocessor, tracker, result
lines and, with --draw, drawing. Detections are people who walk in, meet and leave.
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import matplotlib as mpl
import numpy as np
import torch
from mmengine.config import Config
from mmengine.structures import InstanceData
from torch import Tensor

from fairmot_mm.apis import init_model, track_video
from fairmot_mm.streams import VideoWriter

mpl.use("Agg")
from matplotlib import pyplot as plt

WIDTH, HEIGHT, EMBEDDING = 64, 48, 128
SIDES = np.array((8, 20))
# Sampled once in so many frames.
INTERVAL = 500
CONFIG = Path(__file__).parents[2] / "configs/fairmot_yolov5s_mot17.py"


class Crowd:
    """Detections of people who cross the view, each for some hundred frames.

    Args:
        count: People in view at a time.
        seed: Same seed, same people.
    """

    def __init__(self, count: int, seed: int) -> None:
        self._rng = np.random.default_rng(seed)
        self._positions = self._rng.uniform(0, (WIDTH, HEIGHT), (count, 2))
        self._speeds = self._rng.normal(0, 0.1, (count, 2))
        self._appearances = self._rng.normal(size=(count, EMBEDDING))

    def step(self) -> InstanceData:
        """Detections of the next frame; one in ten people is missed."""
        rng = self._rng
        self._positions += self._speeds
        outside = (self._positions < 0) | (self._positions > (WIDTH, HEIGHT))
        gone = np.any(outside, axis=1) | (rng.random(len(outside)) < 0.002)
        self._positions[gone] = rng.uniform(0, (WIDTH, HEIGHT), (gone.sum(), 2))
        self._appearances[gone] = rng.normal(size=(gone.sum(), EMBEDDING))
        seen = rng.random(len(gone)) > 0.1
        corners = self._positions[seen]
        appearances = self._appearances[seen] + rng.normal(
            0, 0.1, (seen.sum(), EMBEDDING)
        )
        return InstanceData(
            bboxes=torch.from_numpy(np.hstack((corners, corners + SIDES))).float(),
            scores=torch.from_numpy(rng.uniform(0.3, 1, seen.sum())).float(),
            labels=torch.zeros(int(seen.sum()), dtype=torch.long),
            embeddings=torch.from_numpy(appearances).float(),
        )


def run(
    frames: int, people: int = 20, draw: bool = False
) -> list[tuple[int, float, float]]:
    """Track ``frames`` frames.

    Returns:
        Frame, resident memory in MB, and milliseconds of processor time a frame since
        the last row; other processes of the machine hardly affect those.
    """
    cfg = Config.fromfile(CONFIG)
    cfg.model.reid_head.num_ids = 2
    for step in cfg.test_dataloader.dataset.pipeline[0].transforms:
        if step.type == "Letterbox":
            step.size = (WIDTH, WIDTH)
    model = init_model(cfg, device="cpu")
    crowd = Crowd(people, seed=0)

    def predict_frame(inputs: Tensor, metas: dict) -> InstanceData:
        return crowd.step()

    model.predict_frame = predict_frame
    samples: list[tuple[int, float, float]] = []
    last = time.process_time()

    def on_frame(number: int, _: object) -> None:
        nonlocal last
        if (number + 1) % INTERVAL == 0:
            now = time.process_time()
            milliseconds = 1000 * (now - last) / INTERVAL
            samples.append((number + 1, resident_megabytes(), milliseconds))
            last = now

    with tempfile.TemporaryDirectory() as folder:
        video, results = Path(folder, "long.mp4"), Path(folder, "long.txt")
        drawing = Path(folder, "drawn.mp4") if draw else None
        write_video(video, frames)
        last = time.process_time()
        count = track_video(model, video, results, drawing, on_frame)
        if count != frames:
            raise RuntimeError(f"{count} frames were tracked, expected {frames}")
        numbers = {line.split(",", 1)[0] for line in _lines(results)}
        if len(numbers) < 0.99 * frames:
            raise RuntimeError(f"only {len(numbers)} of {frames} frames have results")
    return samples


def _lines(path: Path) -> Iterator[str]:
    with path.open() as file:
        yield from file


def write_video(path: Path, frames: int) -> None:
    """Write a video of plain grey frames."""
    with closing(VideoWriter(path, 30)) as writer:
        for number in range(frames):
            writer.write(np.full((HEIGHT, WIDTH, 3), number % 200, np.uint8))


def resident_megabytes() -> float:
    """Memory of this process that is in RAM, in MB."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096 / 1e6


def growth(values: np.ndarray) -> float:
    """Relative growth from the second tenth of a run to its last tenth (medians)."""
    tenth = max(1, len(values) // 10)
    early = np.median(values[tenth : 2 * tenth])
    return float(np.median(values[-tenth:]) / early - 1)


def plot(samples: np.ndarray, path: Path) -> None:
    """Plot memory and time per frame over the frames."""
    figure, axes = plt.subplots(2, 1, sharex=True, figsize=(8, 5))
    for axis, column, label in zip(
        axes, (1, 2), ("memory in MB", "processor ms a frame"), strict=True
    ):
        axis.plot(samples[:, 0], samples[:, column], linewidth=1)
        axis.set_ylim(0, 1.2 * samples[:, column].max())
        axis.set_ylabel(label)
        axis.grid(alpha=0.3)
    axes[-1].set_xlabel("frame")
    figure.tight_layout()
    figure.savefig(path, dpi=100)


def main() -> None:
    """Run, plot, and fail if memory or time grows."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--frames", type=int, default=200_000)
    parser.add_argument("--draw", action="store_true", help="also draw a video")
    parser.add_argument("--out", type=Path, default=Path("long_stream.png"))
    args = parser.parse_args()
    samples = np.array(run(args.frames, draw=args.draw))
    plot(samples, args.out)
    figures = dict(
        frames=args.frames,
        megabytes=[float(samples[0, 1]), float(samples[-1, 1])],
        memory_growth=growth(samples[:, 1]),
        milliseconds=[float(samples[0, 2]), float(samples[-1, 2])],
        time_growth=growth(samples[:, 2]),
    )
    args.out.with_suffix(".json").write_text(json.dumps(figures, indent=1))
    print(json.dumps(figures, indent=1))
    sys.exit(figures["memory_growth"] > 0.02 or figures["time_growth"] > 0.5)


if __name__ == "__main__":
    main()
