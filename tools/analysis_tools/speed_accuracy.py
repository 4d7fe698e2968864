r"""Draw the packaged network's accuracy against its frames a second.

    python tools/analysis_tools/speed_accuracy.py data/real \
        --calibration data/real --out docs/speed-accuracy.png

Each input size runs in each precision that this machine has. Accuracy is that of the
sequences in the folder, all together, by TrackEval under the benchmark's protocol;
frames a second are those from a 1080p H.264 file to result lines, with --fast-resize.
The first mark of each size is the published way of computing: one frame after another,
whole maps of all heads, normalisation unfolded, a loop over tracks, published pixels.
For a first look: --frames 100 --runs 1.
"""

from __future__ import annotations

import argparse
import copy
import json
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING

from fairmot_mm.utils.command_line import Parser, command

if TYPE_CHECKING:  # so that --help need not wait for MMEngine
    from mmengine.model import BaseModel

    from fairmot_mm.formats.mot import MOTSequence

TIMED_FRAMES = 120
VIDEO_SIZE = (1920, 1080)
METRICS = ("HOTA", "MOTA", "IDF1")
PUBLISHED = "published way, PyTorch float32"
MARKERS = "os^Dv"


@dataclass(frozen=True)
class Point:
    """One size in one precision.

    Attributes:
        size: Width and height of the network input, ``576x320``.
        precision: Run time and precision.
        frames_per_second: From a 1080p file to result lines.
        figures: HOTA, MOTA and IDF1 in per cent.
    """

    size: str
    precision: str
    frames_per_second: float
    figures: dict[str, float]

    def __str__(self) -> str:
        figures = ", ".join(f"{k} {v:.1f}" for k, v in self.figures.items())
        speed = f"{self.frames_per_second:.1f} frames a second"
        return f"{self.size}, {self.precision}: {speed}, {figures}"


def make_parser() -> Parser:
    """Describe the command line."""
    parser = Parser(__doc__)
    parser.add_argument("data_root", type=Path, help="folder of MOTChallenge sequences")
    parser.add_argument(
        "--calibration",
        required=True,
        help="video or folder for the ranges of int8, frames of the same cameras",
    )
    parser.add_argument(
        "--out", type=Path, required=True, help="picture to write, .png"
    )
    parser.add_argument("--json", type=Path, help="JSON file for the figures")
    parser.add_argument(
        "--sizes", nargs="+", default=["384x224", "576x320", "704x384"], metavar="WxH"
    )
    parser.add_argument("--sequences", nargs="+", metavar="NAME", help="default: all")
    parser.add_argument(
        "--frames", type=int, help="first frames of each sequence; default: all"
    )
    parser.add_argument(
        "--runs", type=int, default=3, help="the median time of so many is shown"
    )
    return parser


@command(make_parser)
def main(args: argparse.Namespace) -> None:
    """Measure and draw."""
    for name in ("frames", "runs"):
        if getattr(args, name) is not None and getattr(args, name) < 1:
            raise ValueError(f"--{name} {getattr(args, name)}: at least 1")
    from fairmot_mm.deployment.exporting import check_size, parse_size
    from fairmot_mm.engine.runner import keep_freed_memory
    from fairmot_mm.formats.mot import find_sequences

    sizes = [parse_size(text) for text in args.sizes]
    for size in sizes:
        check_size(size)
    sequences = find_sequences(args.data_root, args.sequences)
    keep_freed_memory()
    points = []
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        video = write_video(sequences, folder / "timed.mp4")
        for size in sizes:
            name = f"{size[0]}x{size[1]}"
            for precision, model in models(size, folder, args.calibration):
                figures = accuracy(model, sequences, folder / "results", args.frames)
                speed = frames_per_second(model, video, folder, args.runs)
                found = [(precision, speed)]
                if precision == "PyTorch float32":  # the same tracks
                    published = published_frames_per_second(model, video, args.runs)
                    found.insert(0, (PUBLISHED, published))
                for label, speed in found:
                    points.append(Point(name, label, speed, figures))
                    print(points[-1], flush=True)
    if args.json is not None:
        args.json.write_text(json.dumps([asdict(p) for p in points], indent=2) + "\n")
    first = "" if args.frames is None else f"the first {args.frames} frames of "
    draw(points, f"{first}{len(sequences)} sequences", args.out)
    print(args.out)


def models(
    size: tuple[int, int], folder: Path, calibration: str
) -> Iterator[tuple[str, BaseModel]]:
    """The packaged network in each precision that this machine computes."""
    import torch
    from openvino import Core

    from fairmot_mm.apis import init_model
    from fairmot_mm.deployment.exporting import export_model
    from fairmot_mm.deployment.frames import read_frames

    half = torch.bfloat16
    has_half = "BF16" in Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    if not has_half:
        print("this processor has no bfloat16, which is left out")
    options = {"test_dataloader.dataset.input_size": size}
    light = init_model(device="cpu", cfg_options=options)
    yield "PyTorch float32", light
    if has_half:
        yield "PyTorch bfloat16", init_model(None, None, "cpu", options, half)
    frames = read_frames(calibration, size, 100)
    path = folder / "float32.xml"
    export_model(light, path, size, None, frames[:2])
    yield "OpenVINO float32", init_model(None, path, "cpu")
    if has_half:
        yield "OpenVINO bfloat16", init_model(None, path, "cpu", dtype=half)
    path = folder / "int8.xml"
    export_model(light, path, size, frames, frames[:2])
    yield "OpenVINO int8", init_model(None, path, "cpu")


def write_video(sequences: Sequence[MOTSequence], path: Path) -> Path:
    """The first frames of the largest sequence as a 1080p H.264 file."""
    import cv2

    from fairmot_mm.formats.images import read_image
    from fairmot_mm.streams import VideoWriter

    chosen = max(sequences, key=lambda s: s.width * s.height)
    with closing(VideoWriter(path, 30)) as writer:
        for number in range(1, min(chosen.length, TIMED_FRAMES) + 1):
            image = cv2.resize(read_image(chosen.image_path(number)), VIDEO_SIZE)
            writer.write(image)
    return path


def frames_per_second(model: BaseModel, video: Path, folder: Path, runs: int) -> float:
    """Median of some runs from the file to result lines, threads included."""
    from fairmot_mm.apis import track_video

    spent = []
    for _ in range(runs + 1):  # the first warms up
        begin = time.perf_counter()
        count = track_video(model, video, folder / "timed.txt", fast_resize=True)
        spent.append((time.perf_counter() - begin) / count)
    return 1 / statistics.median(spent[1:])


def published_frames_per_second(light: BaseModel, video: Path, runs: int) -> float:
    """Median of some runs of the published way, from the file to tracks.

    The network has the published heads and random weights; what the tracker gets is
    what ``light`` detects, off the clock.
    """
    import torch
    from reference_impl import TrackByTrack

    from fairmot_mm.apis.inference import prepare_frame
    from fairmot_mm.registry import MODELS
    from fairmot_mm.streams import open_source

    network = copy.deepcopy(light.cfg.model)
    network.reid_head.type = "EmbeddingHead"
    whole_maps = MODELS.build(network).eval()
    names = [field.name for field in fields(TrackByTrack) if field.init]
    options = {name: getattr(light.tracker, name) for name in names}
    spent = []
    for _ in range(runs + 1):  # the first warms up
        tracker, detecting, count = TrackByTrack(**options), 0.0, 0
        begin = time.perf_counter()
        rate, frames = open_source(video)
        with closing(frames), torch.inference_mode():
            for count, image in enumerate(frames, 1):
                data = prepare_frame(light, image, count - 1, rate)
                inputs = whole_maps.data_preprocessor(copy.deepcopy(data))["inputs"]
                whole_maps(inputs.flatten(0, -4), mode="tensor")
                pause = time.perf_counter()
                (result,) = light.test_step(data)
                detecting += time.perf_counter() - pause
                tracker.track(model=light, data_sample=result[0])
        spent.append((time.perf_counter() - begin - detecting) / count)
    return 1 / statistics.median(spent[1:])


def accuracy(
    model: BaseModel,
    sequences: Sequence[MOTSequence],
    results: Path,
    num_frames: int | None,
) -> dict[str, float]:
    """Figures of all sequences together, in per cent."""
    from fairmot_mm.apis import track_video
    from fairmot_mm.evaluation import COMBINED, evaluate, load_cases

    for sequence in sequences:
        stop = threading.Event()

        def count(number: int, _: object, stop: threading.Event = stop) -> None:
            if number + 1 == num_frames:
                stop.set()

        track_video(
            model,
            sequence.image_path(1).parent,
            results / f"{sequence.name}.txt",
            on_frame=count,
            frame_rate=sequence.frame_rate,
            stop=stop,
        )
    cases = load_cases(sequences, results)
    if num_frames is not None:
        cases = [case.between(1, min(num_frames, case.length)) for case in cases]
    figures = evaluate(cases, "trackeval")[COMBINED]
    return {name: 100 * float(figures[name]) for name in METRICS}


def draw(points: Sequence[Point], scored: str, path: Path) -> None:
    """One line per precision, one kind of mark per size."""
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

    figure = Figure(figsize=(8.5, 4.5), layout="constrained")
    axes = figure.add_subplot()
    sizes = list(dict.fromkeys(point.size for point in points))
    markers = {size: MARKERS[i % len(MARKERS)] for i, size in enumerate(sizes)}
    handles = []
    for number, precision in enumerate(dict.fromkeys(p.precision for p in points)):
        line = [point for point in points if point.precision == precision]
        x = [point.frames_per_second for point in line]
        y = [point.figures["HOTA"] for point in line]
        colour = f"C{number}"
        axes.plot(x, y, "-", color=colour)
        handles.append(Line2D([], [], color=colour, label=precision))
        for point, *place in zip(line, x, y, strict=True):
            axes.plot(*place, markers[point.size], color=colour)
    handles += [
        Line2D([], [], color="grey", linestyle="", marker=marker, label=size)
        for size, marker in markers.items()
    ]
    axes.set_xlabel("frames a second, 1080p file to tracks")
    axes.set_ylabel(f"HOTA on {scored}")
    axes.set_xlim(left=0)
    axes.margins(x=0.06, y=0.08)
    axes.grid(alpha=0.3)
    figure.legend(handles=handles, loc="outside right upper")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)


if __name__ == "__main__":
    sys.exit(main())
