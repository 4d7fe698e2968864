r"""What it costs to look at every third frame only, and what following time saves.

    python tools/test.py CONFIG CHECKPOINT --dump detections
    python tools/analysis_tools/thinning.py detections --gt-root MOT17/train

Tracks the detections of every N-th frame and scores them on these frames: once the
tracker knows how many frames passed, once it takes the frames for consecutive ones of a
slower video. docs/cameras.md says what came out.
"""

import argparse
import sys
import tempfile
from pathlib import Path

from fairmot_mm.utils.command_line import Parser, command


def make_parser() -> Parser:
    """Describe the command line."""
    parser = Parser(__doc__)
    parser.add_argument("detections", type=Path, help="folder of the detections")
    parser.add_argument(
        "--gt-root", type=Path, required=True, help="folder of sequence folders"
    )
    parser.add_argument(
        "--every", type=int, nargs="+", default=[1, 2, 3, 5], metavar="N"
    )
    parser.add_argument(
        "--sequences", nargs="+", metavar="NAME", help="sequences to track; default all"
    )
    return parser


@command(make_parser)
def main(args: argparse.Namespace) -> None:
    """Track, score and print a table."""
    from fairmot_mm.apis.offline_tracking import OfflineTracker, config_of_dumps
    from fairmot_mm.evaluation import COMBINED, evaluate, format_table, load_cases
    from fairmot_mm.formats.detection_dumps import read_dumps
    from fairmot_mm.formats.mot import read_sequence
    from fairmot_mm.formats.mot_results import write_results

    if min(args.every) < 1:
        raise ValueError(f"--every {min(args.every)}: expected 1 or more")
    dumps = read_dumps(args.detections, args.sequences)
    sequences = [read_sequence(args.gt_root / name) for name in dumps]
    tracker = OfflineTracker(config_of_dumps(dumps.values()))
    for dump in dumps.values():
        tracker.check(dump)
    figures = {}
    for every in args.every:
        for by_time in (True, False) if every > 1 else (True,):
            with tempfile.TemporaryDirectory() as folder:
                for name, dump in dumps.items():
                    rows = tracker.track(dump, every, by_time)
                    write_results(Path(folder, f"{name}.txt"), rows[:, :7])
                cases = [case.every(every) for case in load_cases(sequences, folder)]
            followed = "time" if by_time else "frames"
            scored = evaluate(cases, "trackeval")
            figures[f"{every}, by {followed}"] = scored[COMBINED]
    print(format_table(figures, "Every"))


if __name__ == "__main__":
    sys.exit(main())
