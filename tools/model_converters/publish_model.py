"""Make a small file of weights for tracking: half precision, nothing but the network.

Optimiser, log and what only training needs are left out; of a training with EMA these
are the averaged weights.
"""

import argparse
import sys
from pathlib import Path

from fairmot_mm.utils.command_line import Parser, add_trust_option, command

# Large numbers that cancel out, of a ColourEmbeddingHead; a thousand bytes.
EXACT = ("reid_head.colours.",)


def make_parser() -> Parser:
    """Describe the command line."""
    parser = Parser(__doc__)
    parser.add_argument("source", help="checkpoint of the training")
    parser.add_argument("target", type=Path, help="file to write")
    add_trust_option(parser)
    return parser


@command(make_parser)
def main(args: argparse.Namespace) -> None:
    """Write the file."""
    from fairmot_mm.checkpoints.files import read_checkpoint, write_checkpoint
    from fairmot_mm.checkpoints.loading import TRAINING_ONLY, unwrap_checkpoint

    checkpoint = read_checkpoint(args.source, args.trust_checkpoint)
    try:
        tensors = unwrap_checkpoint(checkpoint)
    except ValueError as error:
        raise ValueError(f"{args.source}: {error}") from error
    state = {
        name: tensor.half()
        if tensor.is_floating_point() and not name.startswith(EXACT)
        else tensor
        for name, tensor in tensors.items()
        if not name.startswith(TRAINING_ONLY)
    }
    meta = dict(dataset_meta=checkpoint.get("meta", {}).get("dataset_meta", {}))
    write_checkpoint(dict(state_dict=state, meta=meta), args.target)
    size = args.target.stat().st_size / 1e6
    print(f"{args.target}: {len(state)} tensors, {size:.1f} MB")


if __name__ == "__main__":
    sys.exit(main())
