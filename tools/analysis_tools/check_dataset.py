r"""Read training data and report everything wrong with it, by file and line.

    python tools/analysis_tools/check_dataset.py configs/fairmot_dla34_mot17.py

Decodes every image. Reported are files that cannot be read, malformed lines, missing
and broken images, degenerate boxes and boxes outside the image, boxes and images that
are there twice, identities in two places at once or away for some frames ("gap"), and
sizes and lengths other than seqinfo.ini says.

Exit code: 0 if there is nothing to report but what --allow names, 1 if there is, 2 if
the config cannot be used.
"""

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
        help="kinds that are counted but do not fail the check, e.g. --allow gap",
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
    errors, sources = check_datasets(cfg.train_dataloader.dataset)
    for found in errors:
        if found.kind not in args.allow:
            print(f"{found} [{found.kind}]")
    for source in sources:
        print(source.summary())
    counts = Counter(found.kind for found in errors)
    table = Table("what", "how many", "")
    for kind, count in counts.most_common():
        table.add_row(kind, str(count), "allowed" if kind in args.allow else "")
    wrong = sum(count for kind, count in counts.items() if kind not in args.allow)
    if counts:
        Console().print(table)
    print(f"{wrong or 'no'} annotation errors")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
