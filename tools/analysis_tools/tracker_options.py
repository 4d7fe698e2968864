"""What each tracker option gains on synthetic scenes made for it.

python tools/analysis_tools/tracker_options.py [--out figures.json]
"""

import argparse
import json
import sys
import tempfile
from pathlib import Path

import numpy as np
from simulated import (
    HEIGHT,
    SCENES,
    WIDTH,
    SimulatedSequence,
)

from fairmot_mm.evaluation import COMBINED, evaluate, load_cases
from fairmot_mm.evaluation.interpolation import interpolate_gaps
from fairmot_mm.formats.mot import MOTSequence
from fairmot_mm.formats.mot_results import result_rows, write_results
from fairmot_mm.models import JDETracker, SparseFlowMotion
from fairmot_mm.utils.command_line import Parser, command

FIGURES = ("HOTA", "MOTA", "IDF1", "MOTP", "IDSW", "FN", "FP")
# Scene -> the option made for it.
OPTIONS = dict(
    low_scores="low_score_thr",
    moving_camera="camera_motion",
    sudden_moves="noise_by_score",
    long_occlusions="max_gap",
)


def track(scene: SimulatedSequence, option: str | None) -> np.ndarray:
    """Track a scene; rows (N, 7) of frame, id, x, y, w, h, score."""
    tracker = JDETracker(
        low_score_thr=0.1 if option == "low_score_thr" else None,
        noise_by_score=option == "noise_by_score",
    )
    camera, last, found = SparseFlowMotion(), None, []
    for number, frame in enumerate(scene.frames, 1):
        motion = None
        if option == "camera_motion" and frame.image is not None:
            if last is not None:
                motion = camera.get_warp_matrix(last, frame.image).numpy()
            last = frame.image
        tracks = tracker.update(
            frame.bboxes, frame.scores, frame.embeddings, camera_motion=motion
        )
        found.append(result_rows(number, tracks))
    rows = np.concatenate(found)
    return interpolate_gaps(rows, 20) if option == "max_gap" else rows


def score(scenes: list[SimulatedSequence], option: str | None) -> dict[str, float]:
    """Combined figures of all scenes under the benchmark's protocol."""
    with tempfile.TemporaryDirectory() as folder:
        root, sequences = Path(folder), []
        for i, scene in enumerate(scenes):
            home = root / "gt" / f"SIM-{i}"
            (home / "gt").mkdir(parents=True)
            truth = np.column_stack((scene.truth, np.ones((len(scene.truth), 3))))
            np.savetxt(home / "gt/gt.txt", truth, "%d,%d,%.2f,%.2f,%.2f,%.2f,%d,%d,%d")
            length = len(scene.frames)
            sequences.append(MOTSequence(home, home.name, length, 30, WIDTH, HEIGHT))
            write_results(root / "results" / f"{home.name}.txt", track(scene, option))
        cases = load_cases(sequences, root / "results")
        figures = evaluate(cases, "trackeval")[COMBINED]
    return {name: float(figures[name]) for name in FIGURES}


def make_parser() -> Parser:
    """Describe the command line."""
    parser = Parser(__doc__)
    parser.add_argument("--seeds", type=int, default=3, help="scenes of each kind")
    parser.add_argument("--out", type=Path, help="JSON file to write")
    return parser


@command(make_parser)
def main(args: argparse.Namespace) -> None:
    """Print the table and write it."""
    table: dict[str, dict[str, dict[str, float]]] = {}
    print(f"| scene | option | {' | '.join(FIGURES)} |")
    print("|" + "---|" * (len(FIGURES) + 2))
    for name, option in OPTIONS.items():
        scenes = [SCENES[name](seed) for seed in range(args.seeds)]
        table[name] = {}
        for setting in (None, option):
            figures = score(scenes, setting)
            table[name][setting or "none"] = figures
            cells = [
                f"{100 * v:.1f}" if k in FIGURES[:4] else f"{v:.0f}"
                for k, v in figures.items()
            ]
            print(f"| {name} | {setting or ''} | {' | '.join(cells)} |")
    if args.out is not None:
        args.out.write_text(json.dumps(table, indent=1))


if __name__ == "__main__":
    sys.exit(main())
