"""Convert a checkpoint of fairmot_mm for the reference implementation.

Takes checkpoints of the training and of fairmot2mm.py; the reference implementation
loads what it writes. Optimizer state and log are left out.
"""

import argparse
import sys
from pathlib import Path

from fairmot_mm.utils.command_line import Parser, add_trust_option, command


def make_parser() -> Parser:
    """Describe the command line."""
    parser = Parser(__doc__)
    parser.add_argument("source", help="checkpoint of fairmot_mm")
    parser.add_argument("target", type=Path, help="file to write")
    parser.add_argument("--arch", help="architecture; detected if not given")
    add_trust_option(parser)
    return parser


@command(make_parser)
def main(args: argparse.Namespace) -> None:
    """Convert one file."""
    from fairmot_mm.checkpoints.conversion import publish
    from fairmot_mm.checkpoints.files import read_checkpoint, write_checkpoint

    checkpoint = read_checkpoint(args.source, args.trust_checkpoint)
    try:
        published, left_out = publish(checkpoint, args.arch)
    except ValueError as error:
        raise ValueError(f"{args.source}: {error}") from error
    write_checkpoint(published, args.target)
    print(
        f"{args.target}: {len(published.get('state_dict', published))} tensors"
        + (f"; left out: {', '.join(left_out)}" if left_out else "")
    )


if __name__ == "__main__":
    sys.exit(main())
