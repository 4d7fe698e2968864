r"""Draw what the network will see in training: boxes, identities, heatmap.

    python tools/analysis_tools/browse_dataset.py configs/fairmot_dla34_mot17.py \
        --out browse --number 16 [--sheet]

Samples go through the whole pipeline, including augmentation. They are spaced evenly
over the data set; --shuffle picks them at random.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from mmengine.registry import init_default_scope
from rich.progress import track

import fairmot_mm  # noqa: F401  (registers the components)
from fairmot_mm.registry import DATASETS
from fairmot_mm.utils.command_line import add_cfg_options, open_config
from fairmot_mm.visualization.training_view import contact_sheet, draw_training_sample


def parse_args(argv: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("config", help="its train_dataloader.dataset is drawn")
    parser.add_argument(
        "--out", type=Path, default=Path("browse"), help="folder for the drawings"
    )
    parser.add_argument("--number", type=int, default=16, help="how many samples")
    parser.add_argument(
        "--sheet", action="store_true", help="one contact sheet, OUT/sheet.jpg, instead"
    )
    parser.add_argument("--shuffle", action="store_true", help="samples at random")
    parser.add_argument("--seed", type=int, default=0, help="of augmentation and order")
    add_cfg_options(parser)
    args = parser.parse_args(argv)
    if args.number < 1:
        parser.error("--number must be at least 1")
    return args


def run(args: argparse.Namespace) -> None:
    """Draw and write."""
    cfg = open_config(args)
    init_default_scope(cfg.get("default_scope", "fairmot_mm"))
    dataset = DATASETS.build(cfg.train_dataloader.dataset)
    number = min(args.number, len(dataset))
    rows = np.linspace(0, len(dataset) - 1, number).round().astype(int)
    np.random.seed(args.seed)
    if args.shuffle:
        rows = np.random.permutation(len(dataset))[:number]
    args.out.mkdir(parents=True, exist_ok=True)
    drawings = []
    for row in track(rows.tolist(), "Drawing"):
        packed = dataset[row]
        drawing = draw_training_sample(
            packed["inputs"], packed["data_samples"], dataset.metainfo["classes"]
        )
        if args.sheet:
            drawings.append(drawing)
        else:
            _write(args.out / f"{row:06d}.jpg", drawing)
    if args.sheet:
        _write(args.out / "sheet.jpg", contact_sheet(drawings))
    print(f"{number} samples drawn to {args.out}")


def _write(path: Path, image: np.ndarray) -> None:
    if not cv2.imwrite(str(path), image):
        raise OSError(f"cannot write {path}: check that its folder may be written")


def main(argv: Sequence[str] | None = None) -> int:
    """Run; an error is one line, and exit code 2."""
    args = parse_args(argv)
    try:
        run(args)
    except (OSError, ValueError, TypeError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
