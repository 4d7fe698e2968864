"""Track a video: track_video.py SOURCE CONFIG CHECKPOINT --out FILE.txt."""

import argparse
import os
import signal
import sys
import threading
import time

import torch
from mmdet.structures import TrackDataSample
from rich.progress import MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from fairmot_mm.apis import init_model, track_video
from fairmot_mm.engine.runner import keep_freed_memory
from fairmot_mm.utils.command_line import add_cfg_options

# What shells report for a program that Ctrl-C ended.
INTERRUPTED = 128 + signal.SIGINT


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "source", help="video file or stream, number of a camera, or folder of images"
    )
    parser.add_argument("config", help="config file")
    parser.add_argument("checkpoint", help="checkpoint file")
    parser.add_argument("--out", help="file for the tracks, in MOTChallenge's format")
    parser.add_argument("--show", help="file for the video with the tracks, .mp4")
    parser.add_argument("--device", help="e.g. cuda:1; a GPU if there is one")
    parser.add_argument(
        "--fps",
        type=float,
        help="frames per second; default: what the source reports, 30 for a folder",
    )
    parser.add_argument(
        "--amp",
        action="store_true",
        help="half precision: faster, nearly the same tracks",
    )
    add_cfg_options(parser)
    args = parser.parse_args()
    if args.out is None and args.show is None:
        parser.error("nothing to do: name a file with --out or --show")
    return args


def stop_on_signals() -> threading.Event:
    """Let Ctrl-C and SIGTERM set an event; a second one ends the program at once."""
    stop = threading.Event()

    def handle(number: int, frame: object) -> None:
        if stop.is_set():
            raise KeyboardInterrupt
        stop.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, handle)
    return stop


def main() -> None:
    """Track."""
    args = parse_args()
    keep_freed_memory()
    dtype = torch.bfloat16 if args.amp else torch.float32
    model = init_model(
        args.config, args.checkpoint, args.device, args.cfg_options, dtype
    )
    source = int(args.source) if args.source.isdecimal() else args.source
    columns = (MofNCompleteColumn(), TextColumn("frames"), TimeElapsedColumn())
    stop = stop_on_signals()
    start = time.perf_counter()
    with Progress(*columns, TextColumn("{task.description}")) as progress:
        task = progress.add_task("", total=None)

        def on_frame(number: int, result: TrackDataSample) -> None:
            speed = (number + 1) / (time.perf_counter() - start)
            tracks = len(result.pred_track_instances)
            text = f"{speed:.1f} frames a second, {tracks} tracks"
            progress.update(task, completed=number + 1, description=text)

        try:
            count = track_video(
                *(model, source, args.out, args.show, on_frame),
                frame_rate=args.fps,
                stop=stop,
            )
        except (OSError, ValueError) as error:
            sys.exit(f"error: {error}")
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
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
