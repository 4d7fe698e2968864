r"""Join broken tracks and smooth them, after tracking.

    python tools/test.py CONFIG CHECKPOINT --out results --dump detections
    python tools/link_tracks.py results detections --out linked

Takes result files of any tracker, NAME.txt, and the detections they were tracked from,
which have the embeddings. Uses future frames: not for online figures.
"""

import argparse
import sys
from pathlib import Path

from fairmot_mm.utils.command_line import Parser, command, running


def make_parser() -> Parser:
    """Describe the command line."""
    parser = Parser(__doc__)
    parser.add_argument("results", type=Path, help="folder of result files NAME.txt")
    parser.add_argument(
        "detections", type=Path, help="folder of what tools/test.py --dump wrote"
    )
    parser.add_argument(
        "--out", type=Path, required=True, help="folder for the new result files"
    )
    parser.add_argument(
        "--max-gap", type=int, default=60, help="frames to join over; default 60"
    )
    parser.add_argument(
        "--embedding-limit",
        type=float,
        default=0.15,
        help="greatest cosine distance of a joint's tracks; default 0.15",
    )
    parser.add_argument(
        "--motion-limit",
        type=float,
        default=1.0,
        help="greatest distance from where a track leads, in deviations; default 1",
    )
    parser.add_argument(
        "--fill",
        type=int,
        default=5,
        metavar="FRAMES",
        help="longest gap to fill linearly; default 5, 0 fills none",
    )
    parser.add_argument(
        "--no-smoothing", action="store_true", help="leave the boxes as they are"
    )
    return parser


@command(make_parser)
def main(args: argparse.Namespace) -> None:
    """Link, fill, smooth and write."""
    import numpy as np

    from fairmot_mm.evaluation.interpolation import interpolate_gaps
    from fairmot_mm.formats.detection_dumps import read_dumps
    from fairmot_mm.formats.mot_results import read_results, write_results
    from fairmot_mm.models.trackers.linking import (
        embeddings_of,
        link_tracks,
        smooth_tracks,
    )

    paths = sorted(args.results.glob("[!.]*.txt"))
    if not paths:
        raise FileNotFoundError(f"{args.results}: no result files, expected NAME.txt")
    if args.out.resolve() == args.results.resolve():
        raise ValueError(f"--out {args.out}: would replace the results, give another")
    dumps = read_dumps(args.detections, [path.stem for path in paths])
    for path in paths:
        dump = dumps[path.stem]
        several = len(dump.info.classes) > 1 and not dump.info.in_folder
        rows = read_results(path, dump.info.last, with_classes=several)
        if not several:
            rows = np.column_stack((rows, np.ones(len(rows))))
        embeddings = embeddings_of(rows, dump)
        with running():
            count = len(np.unique(rows[:, 1]))
            rows, joints = link_tracks(
                rows,
                embeddings,
                args.max_gap,
                args.embedding_limit,
                args.motion_limit,
            )
            if args.fill:
                rows = interpolate_gaps(rows, args.fill)
            if not args.no_smoothing:
                rows = smooth_tracks(rows)
            write_results(
                args.out / path.name, rows[:, :7], rows[:, 7] if several else None
            )
        print(f"{path.stem}: {count} tracks, {joints} joined to an earlier one")


if __name__ == "__main__":
    sys.exit(main())
