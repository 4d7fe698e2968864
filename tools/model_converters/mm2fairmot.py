"""Convert back: python tools/model_converters/mm2fairmot.py SRC DST.

Takes checkpoints of the training and of fairmot2mm.py; the reference implementation
loads what it writes. Optimizer state and log are left out.
"""

import argparse
import sys
from pathlib import Path

import torch

from fairmot_mm.checkpoints.architectures import ARCHITECTURES
from fairmot_mm.checkpoints.conversion import publish
from fairmot_mm.checkpoints.loading import read_checkpoint


def main() -> int:
    """Convert one file."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("source", type=Path, help="checkpoint of fairmot_mm")
    parser.add_argument("target", type=Path, help="file to write")
    parser.add_argument(
        "--arch",
        choices=ARCHITECTURES,
        help="architecture; detected if not given",
    )
    parser.add_argument(
        "--trust-source",
        action="store_true",
        help="needed for checkpoints of the training, which hold its log: reading one "
        "can run any code, so it must be your own",
    )
    args = parser.parse_args()
    try:
        checkpoint = read_checkpoint(args.source, args.trust_source)
        published, left_out = publish(checkpoint, args.arch)
    except (OSError, ValueError) as error:
        print(f"error: {args.source}: {error}", file=sys.stderr)
        if "it refers to" in str(error) and not args.trust_source:
            print(
                "a checkpoint of your own training needs --trust-source",
                file=sys.stderr,
            )
        return 2
    args.target.parent.mkdir(parents=True, exist_ok=True)
    torch.save(published, args.target)
    print(
        f"{args.target}: {len(published.get('state_dict', published))} tensors"
        + (f"; left out: {', '.join(left_out)}" if left_out else "")
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
