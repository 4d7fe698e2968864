"""Track a video, a stream, a camera or a folder of images."""

import argparse
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from fairmot_mm.utils.command_line import (
    Parser,
    add_trust_option,
    command,
    find_device,
    open_config,
    running,
)

if TYPE_CHECKING:  # so that --help need not wait for the toolboxes
    from mmdet.structures import TrackDataSample

VIDEOS = (".mp4", ".mov", ".mkv", ".avi")
# The exit status of a program that Ctrl-C ended.
INTERRUPTED = 128 + signal.SIGINT


def make_parser() -> Parser:
    """Describe the command line."""
    parser = Parser(__doc__)
    parser.add_argument(
        "source", help="video file or stream, number of a camera, or folder of images"
    )
    parser.add_config("config file, or name of a packaged one", optional=True)
    parser.add_argument(
        "checkpoint",
        nargs="?",
        help="checkpoint file, its URL, or exported model; without config and "
        "checkpoint the package's own weights are used, which were learnt from streets",
    )
    parser.add_argument(
        "--model",
        help="exported model, .onnx or .xml, which brings its config",
    )
    add_trust_option(parser)
    parser.add_argument("--out", help="file for the tracks, in MOTChallenge's format")
    parser.add_argument("--show", help="file for the video with the tracks, .mp4")
    parser.add_argument("--device", help="e.g. cuda:1; a GPU if there is one")
    parser.add_argument(
        "--fps",
        type=float,
        help="frames per second; default: what the source reports, 30 for a folder",
    )
    parser.add_argument(
        "--fast-resize",
        action="store_true",
        help="letterbox by FFmpeg: faster, not quite the published pixels; needs PyAV",
    )
    parser.add_argument(
        "--amp",
        action="store_true",
        help="half precision: faster, nearly the same tracks",
    )
    return parser


@contextmanager
def stopped_by_signals() -> Iterator[threading.Event]:
    """An event that Ctrl-C and SIGTERM set; a second one ends the program at once."""
    stop = threading.Event()

    def handle(number: int, frame: object) -> None:
        if stop.is_set():
            raise KeyboardInterrupt
        stop.set()

    numbers = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(number, handle) for number in numbers]
    try:
        yield stop
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)


@command(make_parser)
def main(args: argparse.Namespace) -> None:
    """Track."""
    if args.out is None and args.show is None:
        raise ValueError("nothing to do: name a file with --out or --show")
    if args.show is not None and Path(args.show).suffix.lower() not in VIDEOS:
        raise ValueError(
            f"--show {args.show}: expected a name that ends in {' or '.join(VIDEOS)}"
        )
    if args.model is not None and args.config is not None:
        raise ValueError(
            "--model brings its own config: leave config and checkpoint out, or name "
            f"both: {args.source} {args.config} {args.model}"
        )
    if (args.config is None) != (args.checkpoint is None):
        raise ValueError(
            f"a checkpoint is missing for {args.config}: name both config and "
            "checkpoint, or neither for the package's own weights"
        )
    import torch
    from rich.progress import (
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
    )

    from fairmot_mm.apis import init_model, track_video
    from fairmot_mm.checkpoints.packaged import PACKAGED_CONFIG, PACKAGED_WEIGHTS
    from fairmot_mm.engine.runner import keep_freed_memory

    keep_freed_memory()
    if args.config is None and args.model is None:
        args.config, args.checkpoint = str(PACKAGED_CONFIG), str(PACKAGED_WEIGHTS)
        print(
            f"weights of the package, {PACKAGED_WEIGHTS.name}: people in streets; "
            "CC BY-NC-SA 3.0, not for commercial use"
        )
    model = init_model(
        None if args.config is None else open_config(args),
        args.checkpoint or args.model,
        find_device(args.device),
        args.cfg_options if args.config is None else None,  # else in the config
        dtype=torch.bfloat16 if args.amp else torch.float32,
        trust_checkpoint=args.trust_checkpoint,
    )
    source = int(args.source) if args.source.isdecimal() else args.source
    columns = (
        *(MofNCompleteColumn(), TextColumn("frames"), TimeElapsedColumn()),
        TextColumn("{task.description}"),
    )
    start = time.perf_counter()
    with running(), stopped_by_signals() as stop, Progress(*columns) as progress:
        task = progress.add_task("", total=None)

        def on_frame(number: int, result: "TrackDataSample") -> None:
            speed = (number + 1) / (time.perf_counter() - start)
            tracks = len(result.pred_track_instances)
            text = f"{speed:.1f} frames a second, {tracks} tracks"
            progress.update(task, completed=number + 1, description=text)

        outputs = (args.out, args.show, on_frame, args.fps, stop, args.fast_resize)
        count = track_video(model, source, *outputs)
    seconds = time.perf_counter() - start
    print(f"{count} frames in {seconds:.1f} s, {count / seconds:.2f} a second")
    for path in (args.out, args.show):
        if path is not None:
            print(path)
    if stop.is_set():
        sys.stdout.flush()
        # All files are closed. Python's own end takes seconds, and would meet a thread
        # that still waits for a stalled source.
        os._exit(INTERRUPTED)


if __name__ == "__main__":
    sys.exit(main())
