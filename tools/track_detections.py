r"""Track detections that were written before, without the network.

    python tools/test.py CONFIG CHECKPOINT --dump detections
    python tools/track_detections.py detections CONFIG --out results \
        --cfg-options model.tracker.low_score_thr=0.1

The folder holds what --dump wrote (NAME.parquet), or MOTChallenge sequences with
det/det.txt and, if there are any, the embeddings of its lines in det/det.npy, a matrix
(N, D). Without CONFIG, or with the one they were written with, the tracks are those of
that run, bit for bit. Options that follow the camera need a dump, which holds the
camera's motion; they do not work on det.txt.
"""

import argparse
import sys
import time
from pathlib import Path

from fairmot_mm.utils.command_line import Parser, command, open_config, running


def make_parser() -> Parser:
    """Describe the command line."""
    parser = Parser(__doc__)
    parser.add_argument("detections", type=Path, help="folder of the detections")
    parser.add_config(
        "config with the tracker; default: what the run that wrote them had",
        optional=True,
    )
    parser.add_argument(
        "--out", type=Path, required=True, help="folder for the result files NAME.txt"
    )
    parser.add_argument(
        "--sequences", nargs="+", metavar="NAME", help="sequences to track; default all"
    )
    parser.add_argument(
        "--any-network",
        action="store_true",
        help="take detections of another network than the config describes",
    )
    return parser


@command(make_parser)
def main(args: argparse.Namespace) -> None:
    """Track and write result files."""
    from fairmot_mm.apis.offline_tracking import OfflineTracker, config_of_dumps
    from fairmot_mm.formats.detection_dumps import read_dumps
    from fairmot_mm.formats.mot_results import write_results

    dumps = read_dumps(args.detections, args.sequences)
    if args.config is None:
        cfg = config_of_dumps(dumps.values(), args.cfg_options)
    else:
        cfg = open_config(args)
    tracker = OfflineTracker(cfg)
    for dump in dumps.values():
        tracker.check(dump, args.any_network)
    with running():
        for name, dump in dumps.items():
            start = time.perf_counter()
            rows = tracker.track(dump)
            seconds = time.perf_counter() - start
            classes = rows[:, 7] if tracker.with_classes(dump) else None
            write_results(args.out / f"{name}.txt", rows[:, :7], classes)
            print(f"{name}: {len(dump)} frames, {len(dump) / seconds:.0f} per second")


if __name__ == "__main__":
    sys.exit(main())
