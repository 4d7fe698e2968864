"""Track a video, a stream, a camera or a folder of images."""

import argparse
import sys
import time
from typing import TYPE_CHECKING

from fairmot_mm.utils.command_line import Parser, command, find_config, running

if TYPE_CHECKING:  # so that --help need not wait for the toolboxes
    from mmdet.structures import TrackDataSample


def make_parser() -> Parser:
    """Describe the command line."""
    parser = Parser(__doc__)
    parser.add_argument(
        "source", help="video file or stream, number of a camera, or folder of images"
    )
    parser.add_config()
    parser.add_argument("checkpoint", help="checkpoint file")
    parser.add_argument("--out", help="file for the tracks, in MOTChallenge's format")
    parser.add_argument("--show", help="file for the video with the tracks, .mp4")
    parser.add_argument("--device", help="e.g. cuda:1; a GPU if there is one")
    parser.add_argument(
        "--amp", action="store_true", help="bfloat16: faster, nearly the same tracks"
    )
    return parser


@command(make_parser)
def main(args: argparse.Namespace) -> None:
    """Track."""
    if args.out is None and args.show is None:
        raise ValueError("nothing to do: name a file with --out or --show")
    import torch
    from rich.progress import (
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
    )

    from fairmot_mm.apis import init_model, track_video
    from fairmot_mm.engine.runner import keep_freed_memory

    keep_freed_memory()
    dtype = torch.bfloat16 if args.amp else torch.float32
    model = init_model(
        *(find_config(args.config), args.checkpoint, args.device),
        *(args.cfg_options, dtype),
    )
    source = int(args.source) if args.source.isdecimal() else args.source
    columns = (MofNCompleteColumn(), TextColumn("frames"), TimeElapsedColumn())
    start = time.perf_counter()
    with running(), Progress(*columns, TextColumn("{task.description}")) as progress:
        task = progress.add_task("", total=None)

        def on_frame(number: int, result: "TrackDataSample") -> None:
            speed = (number + 1) / (time.perf_counter() - start)
            tracks = len(result.pred_track_instances)
            text = f"{speed:.1f} frames a second, {tracks} tracks"
            progress.update(task, completed=number + 1, description=text)

        count = track_video(model, source, args.out, args.show, on_frame)
    seconds = time.perf_counter() - start
    print(f"{count} frames in {seconds:.1f} s, {count / seconds:.2f} a second")
    for path in (args.out, args.show):
        if path is not None:
            print(path)


if __name__ == "__main__":
    sys.exit(main())
