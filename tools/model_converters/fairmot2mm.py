"""Convert a published FairMOT checkpoint: fairmot2mm.py SRC DST --arch dla_34."""

import argparse
import sys
from pathlib import Path

import torch

from fairmot_mm.utils.checkpoint import (
    ARCHITECTURES,
    convert_fairmot_checkpoint,
    unwrap_checkpoint,
)


def main() -> int:
    """Convert one file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("source", type=Path, help="file of the published code")
    parser.add_argument("target", type=Path, help="file to write")
    parser.add_argument("--arch", choices=ARCHITECTURES, default="dla_34")
    args = parser.parse_args()
    try:
        # Only tensors are read: a checkpoint from the net must not run code.
        checkpoint = torch.load(args.source, map_location="cpu", weights_only=True)
        converted = convert_fairmot_checkpoint(checkpoint, args.arch)
    except Exception as error:
        print(f"error: {args.source}: {error}", file=sys.stderr)
        return 2
    left_out = len(unwrap_checkpoint(checkpoint)) - len(converted)
    args.target.parent.mkdir(parents=True, exist_ok=True)
    torch.save(dict(state_dict=converted, meta=dict(arch=args.arch)), args.target)
    print(
        f"{args.target}: {len(converted)} tensors converted, {left_out} left out that "
        "the published network never uses"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
