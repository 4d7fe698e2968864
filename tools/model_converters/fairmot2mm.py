"""Convert a checkpoint of the reference implementation for fairmot_mm.

Takes checkpoints of the reference implementation of every architecture, CenterNet's
COCO detectors that training starts from, and ImageNet weights of their backbones.
"""

import argparse
import sys
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from fairmot_mm.utils.command_line import Parser, add_trust_option, command

if TYPE_CHECKING:  # so that --help need not wait for PyTorch
    from fairmot_mm.checkpoints.conversion import ConvertedCheckpoint


def make_parser() -> Parser:
    """Describe the command line."""
    parser = Parser(__doc__)
    parser.add_argument("source", help="file to convert")
    parser.add_argument("target", type=Path, help="file to write")
    parser.add_argument("--arch", help="architecture; detected if not given")
    add_trust_option(parser)
    return parser


@command(make_parser)
def main(args: argparse.Namespace) -> None:
    """Convert one file."""
    from fairmot_mm.checkpoints.conversion import convert_published
    from fairmot_mm.checkpoints.files import read_checkpoint, write_checkpoint

    checkpoint = read_checkpoint(args.source, args.trust_checkpoint)
    try:
        converted = convert_published(checkpoint, args.arch)
    except ValueError as error:
        raise ValueError(f"{args.source}: {error}") from error
    write_checkpoint(converted.to_file(), args.target)
    print(f"{args.target}: {report(converted)}")


def report(converted: "ConvertedCheckpoint") -> str:
    """What was converted and what was left out, in a few lines."""
    from fairmot_mm.checkpoints.conversion import FAIRMOT

    lines = [f"{converted.kind} checkpoint of {converted.arch}"]
    if converted.epoch is not None:
        lines[0] += f", epoch {converted.epoch}"
    lines.append(
        f"  {len(converted.state_dict)} tensors converted, all under new names: "
        + _counted(name.split(".")[0] for name in converted.state_dict)
    )
    lines.append(
        f"  {len(converted.unused)} left out that the published network never uses"
        + (
            f", kept aside for the way back: {_counted(map(_module, converted.unused))}"
            if converted.unused
            else ""
        )
    )
    if converted.left_out:
        lines.append(f"  left out: {', '.join(converted.left_out)}")
    if converted.kind != FAIRMOT:
        lines.append(
            "  it cannot track, training starts from it: --cfg-options load_from="
            "TARGET; what the model has beyond it, or in another shape, starts anew"
        )
    return "\n".join(lines)


def _module(name: str) -> str:
    return name.rsplit(".", 2)[0]


def _counted(names: Iterable[str]) -> str:
    return ", ".join(f"{name} ({count})" for name, count in Counter(names).items())


if __name__ == "__main__":
    sys.exit(main())
