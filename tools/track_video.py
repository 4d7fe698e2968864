"""Track videos, streams, cameras or folders of images.

    fairmot track street.mp4 --out tracks.txt
    fairmot track street.mp4 CONFIG CHECKPOINT --out tracks.txt --show tracks.mp4
    fairmot track door=rtsp://a hall=0 yard=yard.mp4 --out results --serve 8080

Several sources go through one network. Cameras and addresses are live: only the newest
frame is tracked. docs/cameras.md tells more. Exit status: 0 if everything ended as
files do, 2 for a mistake, 3 if a stream was lost for good, 130 if interrupted.
"""

import argparse
import os
import re
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from typing import TYPE_CHECKING

from fairmot_mm.utils.command_line import (
    Parser,
    add_trust_option,
    command,
    find_config,
    find_device,
    one_line,
    open_config,
    running,
)
from fairmot_mm.utils.signals import INTERRUPTED, stopped_by_signals

if TYPE_CHECKING:  # so that --help need not wait for the toolboxes
    from mmdet.structures import TrackDataSample
    from mmengine.model import BaseModel
    from mmengine.structures import InstanceData

    from fairmot_mm.apis.streams import StreamSummary
    from fairmot_mm.streams import Counter, Frame, StreamSettings

VIDEOS = (".mp4", ".mov", ".mkv", ".avi")
# The exit status of a program that lost a stream for good.
LOST = 3


def make_parser() -> Parser:
    """Describe the command line."""
    parser = Parser(__doc__)
    parser.add_argument(
        "inputs",
        nargs="+",
        metavar="SOURCE",
        help="video file or stream, number of a camera, or folder of images; several "
        "may have names, NAME=SOURCE. After them CONFIG, a file or the name of a "
        "packaged one, and CHECKPOINT, a file, its URL or an exported model; without "
        "both the package's own weights are used, which were learnt from streets",
    )
    parser.add_cfg_options()
    parser.add_argument(
        "--model",
        help="exported model, .onnx or .xml, which brings its config",
    )
    add_trust_option(parser)
    parser.add_argument(
        "--out",
        help="file for the tracks: .txt (MOTChallenge's format), of a stream also "
        ".csv, .jsonl or .parquet; of several sources a folder",
    )
    parser.add_argument(
        "--show",
        help="file for the video with the tracks, .mp4; of several sources a folder",
    )
    parser.add_argument("--device", help="e.g. cuda:1; a GPU if there is one")
    parser.add_argument(
        "--fps",
        type=float,
        help="frames per second; default: what the source reports, 30 for a folder",
    )
    parser.add_argument(
        "--fast-resize",
        action="store_true",
        help="letterbox by FFmpeg: faster, not quite the published pixels",
    )
    parser.add_argument(
        "--amp",
        action="store_true",
        help="half precision: faster, nearly the same tracks",
    )
    add_stream_options(parser)
    return parser


def add_stream_options(parser: Parser) -> None:
    """Describe what streams have beyond files."""
    streams = parser.add_argument_group("streams and cameras (docs/cameras.md)")
    add = streams.add_argument
    text = "track the newest frame only; default: for cameras and addresses"
    add("--live", action=argparse.BooleanOptionalAction, help=text)
    add("--every", type=int, default=1, metavar="N", help="track every N-th frame only")
    text = "come back after a loss, with growing waits"
    add("--reconnect", action="store_true", help=text)
    text = "seconds to wait for a connection or for data; default: 10"
    add("--timeout", type=float, default=10.0, metavar="SECONDS", help=text)
    text = "of several sources, e.g. csv,mp4: txt, csv, jsonl, parquet, mp4"
    add("--format", default="txt", help=text)
    add("--rotate", metavar="1h", help="begin new files each 1h, 30m or 15s")
    text = "write embeddings to .jsonl and .parquet"
    add("--embeddings", action="store_true", help=text)
    text = "count who crosses; of several streams STREAM:NAME=..."
    add("--line", action="append", default=[], metavar="NAME=X1,Y1,X2,Y2", help=text)
    text = "count who is inside, and for how long"
    add("--zone", action="append", default=[], metavar="NAME=X1,Y1,X2,...", help=text)
    text = "show the streams in a browser at this port"
    add("--serve", type=int, metavar="PORT", help=text)
    text = "address the page listens at; beyond this machine it asks for a token"
    add("--host", default="127.0.0.1", help=text)


def split_inputs(inputs: Sequence[str]) -> tuple[list[str], str | None, str | None]:
    """Sources, config and checkpoint.

    Raises:
        ValueError: There is no source, or a config without a checkpoint.
    """
    items = list(inputs)
    config = checkpoint = None
    if len(items) > 2 and (_is_config(items[-2]) or _is_checkpoint(items[-1])):
        *items, config, checkpoint = items
    elif len(items) > 1 and _is_config(items[-1]):
        raise ValueError(
            f"a checkpoint is missing for {items[-1]}: name both config and "
            "checkpoint, or neither for the package's own weights"
        )
    return items, config, checkpoint


def _is_config(name: str) -> bool:
    if name.endswith(".py"):
        return True
    try:
        return find_config(name) != name
    except FileNotFoundError:
        return False


def _is_checkpoint(name: str) -> bool:
    return name.endswith((".pth", ".pt", ".onnx", ".xml")) or name.startswith(
        "fairmot:"
    )


def name_sources(items: Sequence[str]) -> dict[str, str | int]:
    """Sources by name: the one given, or that of the file, or a number.

    Raises:
        ValueError: Two have the same name.
    """
    named: dict[str, str | int] = {}
    for number, item in enumerate(items, 1):
        match = re.fullmatch(r"([\w.-]+)=(.+)", item)
        name, source = match.groups() if match else (Path(item).stem, item)
        if not match and (source.isdecimal() or "://" in source or name in named):
            name = f"stream{number}"
        if name in named:
            raise ValueError(f"two sources have the name {name}: give NAME=SOURCE")
        named[name] = int(source) if source.isdecimal() else source
    return named


def make_counters(
    args: argparse.Namespace, names: Sequence[str], class_names: Sequence[str]
) -> "dict[str, Counter]":
    """Lines and zones of ``--line`` and ``--zone``, by stream.

    Raises:
        ValueError: It is not told, or not known, of which stream one is.
    """
    from fairmot_mm.streams import Counter, parse_line, parse_zone

    lines: dict[str, list] = {name: [] for name in names}
    zones: dict[str, list] = {name: [] for name in names}
    options = (
        ("--line", args.line, lines, parse_line),
        ("--zone", args.zone, zones, parse_zone),
    )
    for option, texts, found, parse in options:
        for text in texts:
            stream, colon, _ = text.partition("=")[0].rpartition(":")
            if not colon and len(names) > 1:
                raise ValueError(
                    f"{option} {text}: of which stream? Give STREAM:NAME=..., with one "
                    f"of {', '.join(names)}"
                )
            stream = stream or names[0]
            if stream not in found:
                raise ValueError(
                    f"{option} {text}: no stream {stream}, there is {', '.join(names)}"
                )
            found[stream].append(parse(text.removeprefix(f"{stream}:")))
    return {
        name: Counter(lines[name], zones[name], class_names)
        for name in names
        if lines[name] or zones[name]
    }


@command(make_parser)
def main(args: argparse.Namespace) -> int:
    """Track."""
    source, *rest = args.inputs
    if args.model is not None and (configs := [x for x in rest if _is_config(x)]):
        raise ValueError(
            "--model brings its own config: leave config and checkpoint out, or name "
            f"both: {source} {configs[0]} {args.model}"
        )
    items, args.config, args.checkpoint = split_inputs(args.inputs)
    sources = name_sources(items)
    if args.out is None and args.show is None and args.serve is None:
        raise ValueError("nothing to do: name a file with --out or --show, or --serve")
    streaming = is_streaming(args, sources)
    if streaming and args.fast_resize:
        raise ValueError("--fast-resize is for one video file: leave it out")
    several = len(sources) > 1
    if args.show is not None and not several and Path(args.show).suffix not in VIDEOS:
        raise ValueError(
            f"--show {args.show}: expected a name that ends in {' or '.join(VIDEOS)}"
        )
    from fairmot_mm.streams import StreamSettings, parse_duration

    # Before the model is built, which takes seconds.
    settings = StreamSettings(
        args.fps, args.every, args.live, args.timeout, args.reconnect
    )
    if args.rotate is not None:
        args.rotate = parse_duration(args.rotate)
    import torch

    from fairmot_mm.apis import init_model
    from fairmot_mm.checkpoints.packaged import PACKAGED_CONFIG, PACKAGED_WEIGHTS
    from fairmot_mm.datasets.class_names import class_names
    from fairmot_mm.engine.runner import keep_freed_memory

    keep_freed_memory()
    if args.config is None and args.model is None:
        args.config, args.checkpoint = str(PACKAGED_CONFIG), str(PACKAGED_WEIGHTS)
        print(
            f"weights of the package, {PACKAGED_WEIGHTS.name}: people in streets; "
            "CC BY-NC-SA 3.0, not for commercial use"
        )
    if args.embeddings:
        tracker = {"model.tracker.output_embeddings": True}
        args.cfg_options = {**tracker, **(args.cfg_options or {})}
    model = init_model(
        None if args.config is None else open_config(args),
        args.checkpoint or args.model,
        find_device(args.device),
        args.cfg_options if args.config is None else None,  # else in the config
        dtype=torch.bfloat16 if args.amp else torch.float32,
        trust_checkpoint=args.trust_checkpoint,
    )
    classes = class_names(model.cfg, model.num_classes)
    counters = make_counters(args, list(sources), classes)
    with running(), stopped_by_signals() as stop:
        if streaming:
            status = track_all(args, model, sources, settings, counters, stop)
        else:
            status = track_one(args, model, sources, stop)
    if stop.is_set():
        sys.stdout.flush()
        # All files are closed. Python's own end takes seconds, and would meet a thread
        # that still waits for a stalled source.
        os._exit(INTERRUPTED)
    return status


def is_streaming(args: argparse.Namespace, sources: Mapping[str, str | int]) -> bool:
    """Whether anything is asked for that a video file does not have."""
    from fairmot_mm.streams import is_address, is_camera

    asked = (args.live, args.reconnect, args.rotate, args.serve, args.line, args.zone)
    other = Path(args.out or "").suffix not in ("", ".txt") or args.every != 1
    live = any(is_address(x) or is_camera(x) for x in sources.values())
    return len(sources) > 1 or live or other or any(asked) or args.embeddings


def track_one(
    args: argparse.Namespace,
    model: "BaseModel",
    sources: Mapping[str, str | int],
    stop: threading.Event,
) -> int:
    """Track a file or a folder."""
    from rich.progress import (
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
    )

    from fairmot_mm.apis import track_video

    (source,) = sources.values()
    columns = (
        *(MofNCompleteColumn(), TextColumn("frames"), TimeElapsedColumn()),
        TextColumn("{task.description}"),
    )
    start = time.perf_counter()
    with Progress(*columns) as progress:
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
    return 0


def track_all(
    args: argparse.Namespace,
    model: "BaseModel",
    sources: Mapping[str, str | int],
    settings: "StreamSettings",
    counters: "Mapping[str, Counter]",
    stop: threading.Event,
) -> int:
    """Track streams, until all have ended."""
    from rich.progress import Progress, TextColumn, TimeElapsedColumn

    from fairmot_mm.apis import track_streams
    from fairmot_mm.streams import PageServer

    names = list(sources)
    files: dict[str, list[Path]] = {name: [] for name in names}
    if len(names) == 1:
        files[names[0]] += [Path(path) for path in (args.out, args.show) if path]
    else:
        for name in names:
            if args.out is not None:
                suffixes = args.format.split(",")
                files[name] += [Path(args.out, f"{name}.{x.strip()}") for x in suffixes]
            if args.show is not None:
                files[name].append(Path(args.show, f"{name}.mp4"))
    columns = (TextColumn("{task.fields[name]}"), TimeElapsedColumn())
    start = time.perf_counter()
    with ExitStack() as stack:
        page = None
        if args.serve is not None:
            page = PageServer(names, args.serve, args.host)
            page.start()
            stack.enter_context(closing(page))
            print(f"streams at {page.url}", flush=True)
        progress = stack.enter_context(
            Progress(*columns, TextColumn("{task.description}"))
        )
        tasks = {name: progress.add_task("waiting", name=name) for name in names}
        counts = dict.fromkeys(names, 0)

        def on_frame(name: str, frame: "Frame", tracks: "InstanceData") -> None:
            counts[name] += 1
            speed = counts[name] / (time.perf_counter() - start)
            text = f"{counts[name]} frames, {speed:.1f} a second, {len(tracks)} tracks"
            progress.update(tasks[name], description=text)

        summaries = track_streams(
            model,
            sources,
            files,
            rotate=args.rotate,
            with_embeddings=args.embeddings,
            settings=settings,
            counters=counters,
            page=page,
            on_frame=on_frame,
            stop=stop,
        )
    return report(summaries, files, time.perf_counter() - start)


def report(
    summaries: "Mapping[str, StreamSummary]",
    files: Mapping[str, Sequence[Path]],
    seconds: float,
) -> int:
    """Print how the streams went; the exit status."""
    for name, summary in summaries.items():
        frames = f"{summary.num_frames} frames in {seconds:.1f} s"
        print(
            f"{name}: {frames}, {summary.num_dropped} dropped, "
            f"{summary.num_losses} losses",
            *files[name],
        )
        for row in summary.counts:
            print("  " + ", ".join(f"{k} {v}" for k, v in row.items() if v is not None))
    lost = {name: x.error for name, x in summaries.items() if x.error is not None}
    for name, error in lost.items():
        print(f"error: {name}: {one_line(error)}", file=sys.stderr)
    if len(lost) == len(summaries) and not any(
        x.num_frames for x in summaries.values()
    ):
        return 2
    return LOST if lost else 0


if __name__ == "__main__":
    sys.exit(main())
