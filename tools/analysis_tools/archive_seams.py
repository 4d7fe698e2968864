r"""What the seams of a video that is tracked in pieces cost.

    python tools/test.py CONFIG CHECKPOINT --out results --dump detections
    python tools/analysis_tools/archive_seams.py detections --gt-root data/MOT17/train \
        --piece 2 4 8 --overlap 1
    python tools/analysis_tools/archive_seams.py --made-up 10000 --piece 10 30

Tracks the detections of each sequence in one pass and in pieces that are joined as
`fairmot archive` joins them, and scores both.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from fairmot_mm.utils.command_line import Parser, command, running

if TYPE_CHECKING:
    from fairmot_mm.archive.rows import TrackRows
    from fairmot_mm.archive.seams import SeamCounts
    from fairmot_mm.formats.detection_dumps import DetectionDump
    from fairmot_mm.models.trackers import JDETracker

RATE = 30.0  # frames a second of what is made up
SHOWN = ("HOTA", "AssA", "MOTA", "IDF1", "IDSW", "Frag")


def make_parser() -> Parser:
    """Describe the command line."""
    parser = Parser(__doc__)
    text = "folder of what tools/test.py --dump wrote"
    parser.add_argument("detections", type=Path, nargs="?", help=text)
    parser.add_argument("--gt-root", type=Path, help="folder of the sequences")
    text = (
        "instead: two simulated sequences of so many frames, of twelve people who are "
        "hidden, or score low, now and then"
    )
    parser.add_argument("--made-up", type=int, metavar="FRAMES", help=text)
    parser.add_argument(
        "--piece", type=float, nargs="+", default=[4.0], help="seconds; default 4"
    )
    parser.add_argument("--overlap", type=float, default=1.0, help="seconds; default 1")
    return parser


def make_up(folder: Path, num_frames: int) -> tuple[Path, Path]:
    """Write simulated sequences; returns folders of detections and ground truth."""
    import numpy as np
    from simulated import HEIGHT, WIDTH, long_occlusions, low_scores

    from fairmot_mm.formats.detection_dumps import (
        DumpInfo,
        DumpWriter,
        FrameDetections,
    )
    from fairmot_mm.formats.mot import MOTSequence, write_sequence_info

    dumps, root = folder / "dumps", folder / "gt"
    tracker = dict(type="JDETracker", obj_score_thr=0.4)
    tracking = dict(model=dict(tracker=tracker), test_evaluator={})
    for scene in (long_occlusions, low_scores):
        name, made = scene.__name__, scene(0, num_frames)
        (root / name / "gt").mkdir(parents=True)
        truth = np.hstack((made.truth, np.ones((len(made.truth), 3))))
        np.savetxt(root / name / "gt/gt.txt", truth, "%g", ",")
        write_sequence_info(
            MOTSequence(root / name, name, num_frames, RATE, WIDTH, HEIGHT)
        )
        writer = DumpWriter(dumps, DumpInfo(name, 1, 1, RATE, tracking=tracking))
        for frame in made.frames:
            labels = np.zeros(len(frame.scores))
            found = FrameDetections(
                frame.bboxes, frame.scores, labels, frame.embeddings
            )
            writer.write(found.as_written(0.05))
        writer.close()
    return dumps, root


def track(tracker: JDETracker, dump: DetectionDump, first: int, last: int) -> TrackRows:
    """Track the frames from ``first`` to ``last``, from 0, with a tracker anew."""
    import numpy as np

    from fairmot_mm.archive.rows import TrackRows, concatenate
    from fairmot_mm.formats.boxes import xyxy_to_xywh

    tracker.reset(dump.info.frame_rate)
    parts = []
    for number in range(first, last):
        found = dump.frame(dump.info.first + number)
        looks = found.embeddings if found.embeddings.shape[1] else None
        tracker.advance(found.bboxes, found.scores, looks, found.labels)
        tracks = tracker.shown_tracks()
        rows = TrackRows(
            np.full(len(tracks), dump.info.first + number),
            np.full(len(tracks), number / dump.info.frame_rate),
            tracks.ids,
            tracks.labels,
            xyxy_to_xywh(tracks.boxes).astype(np.float32),
            tracks.scores.astype(np.float32),
            tracks.embeddings.astype(np.float16),
        )
        parts.append(rows.select(np.argsort(rows.tracks)))
    return concatenate([part for part in parts if len(part)])


def track_in_pieces(
    tracker: JDETracker, dump: DetectionDump, piece: float, overlap: float
) -> tuple[TrackRows, SeamCounts, int]:
    """Tracks of the joined pieces, what happened at the seams, and how many."""
    import numpy as np

    from fairmot_mm.archive.pieces import cut
    from fairmot_mm.archive.rows import concatenate
    from fairmot_mm.archive.seams import SeamCounts, join_pieces

    rate, counts = dump.info.frame_rate, SeamCounts()
    pieces = cut(dump.info.name, np.arange(len(dump)) / rate, piece, overlap)
    parts = [track(tracker, dump, x.first, x.first + x.num_frames) for x in pieces]
    ends = [(x.first + x.num_frames - 0.5) / rate for x in pieces]
    joined = join_pieces(parts, ends, tracker.max_frames_lost, counts)
    return concatenate(list(joined)), counts, len(pieces) - 1


@command(make_parser)
def main(args: argparse.Namespace) -> None:
    """Track, join, score and print."""
    given = args.detections is not None and args.gt_root is not None
    if given == (args.made_up is not None):
        raise ValueError("give either detections with --gt-root, or --made-up")
    with running(), tempfile.TemporaryDirectory() as folder:
        if given:
            compare(args.detections, args.gt_root, args)
        else:
            compare(*make_up(Path(folder), args.made_up), args)


def compare(detections: Path, gt_root: Path, args: argparse.Namespace) -> None:
    """Print what one pass and pieces give."""
    import numpy as np
    from rich.console import Console
    from rich.table import Table

    from fairmot_mm.apis.offline_tracking import OfflineTracker, config_of_dumps
    from fairmot_mm.evaluation import COMBINED, evaluate, load_cases
    from fairmot_mm.formats.detection_dumps import read_dumps
    from fairmot_mm.formats.mot import find_sequences
    from fairmot_mm.formats.mot_results import write_results

    dumps = read_dumps(detections)
    sequences = find_sequences(gt_root, dumps)
    tracker = OfflineTracker(config_of_dumps(dumps.values())).tracker
    table = Table("pieces", "seams", "joined", "new", "tracks", *SHOWN)
    for piece in (None, *args.piece):
        seams = joined = new = tracks = 0
        with tempfile.TemporaryDirectory() as folder:
            for name, dump in dumps.items():
                if piece is None:
                    rows = track(tracker, dump, 0, len(dump))
                else:
                    rows, counts, cuts = track_in_pieces(
                        tracker, dump, piece, args.overlap
                    )
                    seams += cuts
                    joined += counts.by_overlap + counts.by_appearance
                    new += counts.new
                tracks += len(np.unique(rows.tracks))
                write_results(Path(folder, f"{name}.txt"), rows.result_rows()[:, :7])
            figures = evaluate(load_cases(sequences, Path(folder)), "trackeval")
        cells = [figures[COMBINED][key] for key in SHOWN]
        texts = [f"{100 * x:.2f}" if isinstance(x, float) else str(x) for x in cells]
        what = "one" if piece is None else f"{piece:g} s"
        numbers = map(str, (seams, joined, new, tracks))
        table.add_row(what, *numbers, *texts)
    Console(width=110).print(table)


if __name__ == "__main__":
    sys.exit(main())
