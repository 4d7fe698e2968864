r"""Write a page that shows what a tracker or a training did.

Figures, tracks over time and every error of result files:

    fairmot report --gt-root data/real --results results --out report.html
    fairmot report --gt-root data/real --results before after \
        --detections detections --out report.html

One or two folders of result files NAME.txt; two are compared. --detections, what
tools/test.py --dump wrote, tells people that the network missed from those the tracker
dropped. The page needs nothing but a browser; links lead to the frames, where they are.
Losses, learning rate, validation figures and settings of one or two trainings:

    fairmot report --work-dir work_dirs/first work_dirs/second --out trainings.html
"""

import argparse
import sys
from pathlib import Path

from eval_mot import check_results_complete, choose_folders, find_folders, load_sequence

from fairmot_mm.utils.command_line import Parser, command


def make_parser() -> Parser:
    """Describe the command line."""
    parser = Parser(__doc__)
    parser.add_argument("--gt-root", type=Path, help="folder of sequence folders")
    parser.add_argument(
        "--results",
        type=Path,
        nargs="+",
        action="extend",
        metavar="FOLDER",
        help="one or two folders of result files NAME.txt",
    )
    parser.add_argument(
        "--work-dir",
        type=Path,
        nargs="+",
        metavar="FOLDER",
        help="one or two folders of trainings, instead of --gt-root and --results",
    )
    parser.add_argument("--out", type=Path, required=True, help="the page, .html")
    parser.add_argument(
        "--sequences",
        nargs="+",
        metavar="NAME",
        help="sequence folders to show; default: all, which must have results",
    )
    parser.add_argument(
        "--detections", type=Path, help="folder of the dumps the results came from"
    )
    parser.add_argument(
        "--no-pictures", action="store_true", help="do without the frames"
    )
    return parser


def report_tracking(args: argparse.Namespace) -> None:
    """Score the results and write their page."""
    from fairmot_mm.formats.detection_dumps import read_dumps
    from fairmot_mm.visualization.tracking_report import analyse, write_tracking_report

    folders = find_folders(args.gt_root)
    chosen = [*folders.values()]
    if args.sequences is not None:
        chosen = choose_folders(folders, args.sequences)
    sequences = [load_sequence(folder) for folder in chosen]
    for results in args.results:
        if not results.is_dir():
            raise FileNotFoundError(f"{results}: no such folder of result files")
        check_results_complete(sequences, results)
    dumps = None
    if args.detections is not None:
        dumps = read_dumps(args.detections, [sequence.name for sequence in sequences])
    runs = [analyse(sequences, results) for results in args.results]
    write_tracking_report(args.out, sequences, runs, dumps, not args.no_pictures)


@command(make_parser)
def main(args: argparse.Namespace) -> None:
    """Write the page of the results or of the trainings."""
    if bool(args.results and args.gt_root) == bool(args.work_dir):
        raise ValueError("give --gt-root and --results, or --work-dir")
    given = args.work_dir or args.results
    if len(given) > 2:
        option = "--work-dir" if args.work_dir else "--results"
        raise ValueError(f"{option}: {len(given)} folders, expected one or two")
    if args.work_dir is None:
        report_tracking(args)
        return
    from fairmot_mm.visualization.training_curves import (
        read_training,
        write_training_report,
    )

    write_training_report(args.out, [read_training(folder) for folder in given])


if __name__ == "__main__":
    sys.exit(main())
