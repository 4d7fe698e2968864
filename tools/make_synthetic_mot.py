"""Make a synthetic data set in MOTChallenge's layout, to train and track on."""

import argparse
import sys
from pathlib import Path

from fairmot_mm.utils.command_line import Parser, command


def _size(text: str) -> tuple[int, int]:
    try:
        width, height = (int(side) for side in text.lower().split("x"))
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not WIDTHxHEIGHT, such as 512x288"
        ) from None
    return width, height


def make_parser() -> Parser:
    """Describe the command line."""
    parser = Parser(__doc__)
    parser.formatter_class = argparse.ArgumentDefaultsHelpFormatter
    parser.add_argument("out", type=Path, help="folder to write train/ and test/ into")
    parser.add_argument("--train", type=int, default=4, help="training sequences")
    parser.add_argument("--test", type=int, default=2, help="test sequences")
    parser.add_argument("--frames", type=int, default=60, help="frames per sequence")
    parser.add_argument("--people", type=int, default=8, help="people in view")
    parser.add_argument("--size", type=_size, default="512x288", help="of the images")
    parser.add_argument("--seed", type=int, default=0, help="same seed, same data")
    parser.add_argument(
        "--street",
        type=int,
        metavar="SEED",
        help="one street for all sequences, as a fixed camera shows it",
    )
    parser.add_argument(
        "--backgrounds",
        nargs="+",
        type=Path,
        default=[],
        metavar="SEQUENCE",
        help="MOTChallenge sequences shown behind the people, without their own, "
        "instead of painted streets",
    )
    parser.add_argument(
        "--varied",
        action="store_true",
        help="other cameras, half to twice as many people, blur and noise",
    )
    parser.add_argument(
        "--overwrite", action="store_true", help="replace the SYN-* sequences in OUT"
    )
    return parser


@command(make_parser)
def main(args: argparse.Namespace) -> None:
    """Make the sequences."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    from fairmot_mm.synthetic import make_dataset

    console = Console(stderr=True)
    progress = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )
    with progress:
        frames = max(0, args.train + args.test) * max(0, args.frames)
        task = progress.add_task("drawing frames", total=frames)
        folders = make_dataset(
            args.out,
            train_sequences=args.train,
            test_sequences=args.test,
            num_frames=args.frames,
            num_people=args.people,
            size=args.size,
            seed=args.seed,
            street_seed=args.street,
            backgrounds=args.backgrounds,
            varied=args.varied,
            overwrite=args.overwrite,
            progress=lambda: progress.advance(task),
        )
    for split in ("train", "test"):
        names = [folder.name for folder in folders if folder.parent.name == split]
        if names:
            print(f"{args.out / split}: {', '.join(names)}, {args.frames} frames each")


if __name__ == "__main__":
    sys.exit(main())
