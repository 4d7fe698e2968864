r"""Read training data and report, by file and line, everything wrong with them.

    python tools/analysis_tools/check_dataset.py configs/fairmot_dla34_mot17.py

Decodes every image. Reported are files that cannot be read, malformed lines, missing
and broken images, degenerate boxes and boxes outside the image, boxes and images that
are there twice, identities in two places at once or away for some frames ("gap"), and
sizes and lengths other than seqinfo.ini says.

Exit code: 0 if there is nothing to report but what --allow names, 1 if there is, 2 if
the config cannot be used.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter

from fairmot_mm.utils.command_line import Parser, command, open_config


def make_parser() -> Parser:
    """Describe the command line."""
    parser = Parser(__doc__)
    parser.add_config("its train_dataloader.dataset is checked")
    parser.add_argument(
        "--allow",
        nargs="+",
        default=[],
        metavar="KIND",
        help="kinds that are counted and no error, e.g. --allow gap",
    )
    return parser


@command(make_parser)
def main(args: argparse.Namespace) -> int:
    """Check, list, count."""
    from mmengine.registry import init_default_scope
    from rich.console import Console
    from rich.table import Table

    from fairmot_mm.datasets.checking import check_datasets

    cfg = open_config(args)
    init_default_scope(cfg.get("default_scope", "fairmot_mm"))
    faults, sources = check_datasets(cfg.train_dataloader.dataset)
    for fault in faults:
        if fault.kind not in args.allow:
            print(f"{fault} [{fault.kind}]")
    for source in sources:
        print(source.summary())
    counts = Counter(fault.kind for fault in faults)
    table = Table("what", "how many", "")
    for kind, count in counts.most_common():
        table.add_row(kind, str(count), "allowed" if kind in args.allow else "")
    wrong = sum(count for kind, count in counts.items() if kind not in args.allow)
    if counts:
        Console().print(table)
    print(f"{wrong} faults" if wrong else "no faults")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
