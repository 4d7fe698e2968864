r"""Draw what the network will see in training: boxes, identities, heatmap.

    python tools/analysis_tools/browse_dataset.py configs/fairmot_dla34_mot17.py \
        --out browse --number 16 [--sheet]

Samples go through the whole pipeline, including augmentation. They are spaced evenly
over the data set; --shuffle picks them at random.
"""

import argparse
import sys
from pathlib import Path

from fairmot_mm.utils.command_line import Parser, command, open_config


def make_parser() -> Parser:
    """Describe the command line."""
    parser = Parser(__doc__)
    parser.add_config("its train_dataloader.dataset is drawn")
    parser.add_argument(
        "--out", type=Path, default=Path("browse"), help="folder for the drawings"
    )
    parser.add_argument("--number", type=int, default=16, help="how many samples")
    parser.add_argument(
        "--sheet", action="store_true", help="one contact sheet, OUT/sheet.jpg, instead"
    )
    parser.add_argument("--shuffle", action="store_true", help="samples at random")
    parser.add_argument("--seed", type=int, default=0, help="of augmentation and order")
    return parser


@command(make_parser)
def main(args: argparse.Namespace) -> None:
    """Draw and write."""
    import numpy as np
    from mmengine.registry import init_default_scope
    from rich.progress import track

    from fairmot_mm.formats.images import write_image
    from fairmot_mm.registry import DATASETS
    from fairmot_mm.visualization.training_view import (
        contact_sheet,
        draw_training_sample,
    )

    if args.number < 1:
        raise ValueError(f"--number is {args.number}, expected at least 1")
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
            write_image(args.out / f"{row:06d}.jpg", drawing)
    if args.sheet:
        write_image(args.out / "sheet.jpg", contact_sheet(drawings))
    print(f"{number} samples drawn to {args.out}")


if __name__ == "__main__":
    sys.exit(main())
