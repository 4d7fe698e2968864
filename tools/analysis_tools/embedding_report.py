r"""Write a page that shows whom the embeddings tell apart, and whom they confuse.

    python tools/test.py CONFIG CHECKPOINT --dump detections
    python tools/analysis_tools/embedding_report.py detections --gt-root data/real \
        --out embeddings.html

Distances of the same and of different people over the gap in frames, true positive
rates at false positive rates, the nearest wrong neighbours as pictures, and a map
(t-SNE), from the embeddings of the detections. identity_value.py compares networks.
"""

import argparse
import sys
from pathlib import Path

from fairmot_mm.utils.command_line import Parser, command


def make_parser() -> Parser:
    """Describe the command line."""
    parser = Parser(__doc__)
    parser.add_argument(
        "detections", type=Path, help="folder of what tools/test.py --dump wrote"
    )
    parser.add_argument(
        "--gt-root", type=Path, required=True, help="folder of MOTChallenge sequences"
    )
    parser.add_argument("--out", type=Path, required=True, help="the page, .html")
    parser.add_argument(
        "--sequences", nargs="+", metavar="NAME", help="default: all of the dumps"
    )
    return parser


@command(make_parser)
def main(args: argparse.Namespace) -> None:
    """Match detections with people, and write the page."""
    from fairmot_mm.formats.detection_dumps import read_dumps
    from fairmot_mm.formats.mot import find_sequences
    from fairmot_mm.visualization.embedding_report import (
        collect_looks,
        write_embedding_report,
    )

    dumps = read_dumps(args.detections, args.sequences)
    sequences = find_sequences(args.gt_root, dumps)
    looks = [collect_looks(sequence, dumps[sequence.name]) for sequence in sequences]
    config = next(iter(dumps.values())).info.config
    for name, rates in write_embedding_report(
        args.out, sequences, looks, config
    ).items():
        print(name, *(f"{key} {100 * rate:.1f}" for key, rate in rates.items()))


if __name__ == "__main__":
    sys.exit(main())
