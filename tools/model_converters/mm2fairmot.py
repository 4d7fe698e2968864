"""Convert a checkpoint of fairmot_mm for the reference implementation.

Takes checkpoints of the training and of fairmot2mm.py; the reference implementation
loads what it writes. Optimizer state and log are left out.
"""

import argparse
import sys
from pathlib import Path

from fairmot_mm.utils.command_line import Parser, command


def make_parser() -> Parser:
    """Describe the command line."""
    parser = Parser(__doc__)
    parser.add_argument("source", type=Path, help="checkpoint of fairmot_mm")
    parser.add_argument("target", type=Path, help="file to write")
    parser.add_argument("--arch", help="architecture; detected if not given")
    parser.add_argument(
        "--trust-source",
        action="store_true",
        help="needed for checkpoints of the training, which hold its log: reading one "
        "can run any code, so it must be your own",
    )
    return parser


@command(make_parser)
def main(args: argparse.Namespace) -> None:
    """Convert one file."""
    import torch

    from fairmot_mm.checkpoints.conversion import publish
    from fairmot_mm.checkpoints.loading import read_checkpoint

    try:
        checkpoint = read_checkpoint(args.source, args.trust_source)
        published, left_out = publish(checkpoint, args.arch)
    except ValueError as error:
        remedy = "; a checkpoint of your own training needs --trust-source"
        refused = "it refers to" in str(error) and not args.trust_source
        raise ValueError(
            f"{args.source}: {error}{remedy if refused else ''}"
        ) from error
    args.target.parent.mkdir(parents=True, exist_ok=True)
    torch.save(published, args.target)
    print(
        f"{args.target}: {len(published.get('state_dict', published))} tensors"
        + (f"; left out: {', '.join(left_out)}" if left_out else "")
    )


if __name__ == "__main__":
    sys.exit(main())
