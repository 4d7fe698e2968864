"""Track an archive of videos, on all cores of this machine or of many machines.

    fairmot archive recordings --out results
    fairmot archive 'recordings/*/*.mp4' CONFIG CHECKPOINT --out results --txt
    fairmot archive s3://recordings/2026 --model model.xml --out results --ray auto

The folder gets tracks/ (Parquet files by camera and day) and ledger.sqlite, which says
what is done, what failed and why. Run it again, and it goes on with what is missing.
docs/archives.md tells more. Exit status: 0 if all videos are done, 2 for a mistake, 3
if some were set aside, 130 if interrupted.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from fairmot_mm.utils.command_line import (
    Parser,
    add_trust_option,
    command,
    open_config,
    running,
)
from fairmot_mm.utils.signals import INTERRUPTED, stopped_by_signals

if TYPE_CHECKING:  # so that --help need not wait for the toolboxes
    from fairmot_mm.archive import ArchiveSummary, Progress

# That of a run that set videos aside.
SET_ASIDE = 3
_SHOWN = 20  # videos that were set aside, by name
_REPORT = 60.0  # seconds between two lines where there is no terminal


def make_parser() -> Parser:
    """Describe the command line."""
    parser = Parser(__doc__)
    add = parser.add_argument
    text = (
        "folder, pattern in quotes, .txt with a video per line, .csv with the columns "
        "video, camera, start; local or any address that fsspec knows"
    )
    add("source", metavar="SOURCE", help=text)
    text = (
        "config file, or name of a packaged one; without it the package's own weights "
        "are used, which were learnt from streets"
    )
    add("config", metavar="CONFIG", nargs="?", help=text)
    text = "its checkpoint: a file, its URL or an exported model"
    add("checkpoint", metavar="CHECKPOINT", nargs="?", help=text)
    parser.add_cfg_options()
    add("--model", help="exported model, .onnx or .xml, which brings its config")
    add_trust_option(parser)
    add("--out", required=True, help="folder of the results")
    text = "a cluster's head, or auto; default: processes of this machine"
    add("--ray", metavar="HOST:PORT", help=text)
    text = "number of workers; default: one for each GPU, or core if there is none"
    add("--workers", type=int, metavar="N", help=text)
    text = "default: GPUs if the cluster has any"
    add("--device", choices=("cpu", "cuda"), help=text)
    add("--amp", action="store_true", help="half precision: faster")
    text = "longer videos are cut into pieces of so many minutes; default: 10"
    add("--piece", type=float, default=10.0, metavar="MINUTES", help=text)
    text = "seconds that pieces overlap; default: 5"
    add("--overlap", type=float, default=5.0, metavar="SECONDS", help=text)
    add("--every", type=int, default=1, metavar="N", help="track every N-th frame only")
    text = "videos that a worker tracks together; default: 8 on a GPU, 1 on a CPU"
    add("--batch", type=int, metavar="N", help=text)
    add("--embeddings", action="store_true", help="write the tracks' embeddings")
    text = "write a file in MOTChallenge's format for each video as well"
    add("--txt", action="store_true", help=text)
    text = "try videos again that failed before"
    add("--retry", action="store_true", help=text)
    return parser


@command(make_parser)
def main(args: argparse.Namespace) -> int:
    """Track the archive."""
    if args.model is not None and args.config is not None:
        raise ValueError(
            "--model brings its own config: leave config and checkpoint out, or name "
            f"both: {args.source} {args.config} {args.model}"
        )
    if args.config is not None and args.checkpoint is None:
        raise ValueError(
            f"a checkpoint is missing for {args.config}: name both config and "
            "checkpoint, or neither for the package's own weights"
        )
    from fairmot_mm.archive import track_archive
    from fairmot_mm.checkpoints.packaged import PACKAGED_CONFIG, PACKAGED_WEIGHTS

    checkpoint = args.checkpoint or args.model
    if checkpoint is None:
        args.config, checkpoint = str(PACKAGED_CONFIG), str(PACKAGED_WEIGHTS)
        print(
            f"weights of the package, {PACKAGED_WEIGHTS.name}: people in streets; "
            "CC BY-NC-SA 3.0, not for commercial use"
        )
    config = None if args.config is None else open_config(args)
    with running(), stopped_by_signals() as stop, shown_progress() as show:
        summary = track_archive(
            args.source,
            args.out,
            config,
            checkpoint,
            cfg_options=args.cfg_options if config is None else None,
            ray_address=args.ray,
            workers=args.workers,
            device=args.device,
            half=args.amp,
            trust_checkpoint=args.trust_checkpoint,
            piece=args.piece,
            overlap=args.overlap,
            every=args.every,
            batch=args.batch,
            with_embeddings=args.embeddings,
            with_text=args.txt,
            retry=args.retry,
            stop=stop,
            on_progress=show,
        )
    report(summary, args.out)
    if summary.interrupted:
        sys.stdout.flush()
        os._exit(INTERRUPTED)  # Python's own end takes seconds
    return SET_ASIDE if summary.failures else 0


@contextmanager
def shown_progress() -> Iterator[Callable[[Progress], None]]:
    """Shows how far it is: a bar, or a line a minute where there is no terminal."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )
    from rich.progress import Progress as Bar

    console = Console()
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    remaining = (TextColumn("left:"), TimeRemainingColumn(elapsed_when_finished=True))
    bar = Bar(*columns, *remaining, console=console, disable=not console.is_terminal)
    start = last = time.monotonic()

    def show(progress: Progress) -> None:
        nonlocal last
        now = time.monotonic()
        text = describe(progress, now - start)
        bar.update(
            task,
            description=text,
            completed=progress.frames,
            total=max(progress.total_frames, 1),
        )
        if not console.is_terminal and now - last > _REPORT:
            last = now
            print(text, flush=True)

    with bar:
        task = bar.add_task("starting", total=None)
        yield show


def describe(progress: Progress, seconds: float) -> str:
    """Progress in a line."""
    text = f"{progress.done} of {progress.videos} videos"
    if progress.failed:
        text += f", {progress.failed} set aside"
    rate = progress.frames / max(seconds, 1e-3)
    text += f", {progress.frames} frames, {rate:.1f} a second, "
    text += f"{progress.workers} workers"
    if progress.deaths:
        text += f" ({progress.deaths} died)"
    return text


def report(summary: ArchiveSummary, out: str) -> None:
    """Print how it went."""
    progress, totals = summary.progress, summary.totals
    print(describe(progress, summary.seconds) + f", in {summary.seconds:.0f} s")
    print(
        f"all runs: {totals['hours']:.2f} hours of video, {totals['frames']:.0f} "
        f"frames, {totals['tracks']:.0f} tracks, {totals['seconds'] / 3600:.2f} hours "
        "of work"
    )
    notes = (
        ("short", "videos have fewer frames than they announce (ledger: frames)"),
        ("damaged", "packets could not be decoded"),
        ("ignored", "detections could not be tracked"),
        ("undated", "videos do not say when they began: theirs is 1970-01-01"),
    )
    for name, text in notes:
        if totals[name]:
            print(f"{totals[name]:.0f} {text}")
    for name, reason in summary.failures[:_SHOWN]:
        print(f"error: {name}: {reason}", file=sys.stderr)
    if (more := len(summary.failures) - _SHOWN) > 0:
        print(f"error: {more} more failed, see {out}/ledger.sqlite", file=sys.stderr)
    print(out)


if __name__ == "__main__":
    sys.exit(main())
