"""Export a model to ONNX or OpenVINO, and compare it with PyTorch.

fairmot export CONFIG CHECKPOINT --to model.onnx
fairmot export CONFIG CHECKPOINT --to model.xml --int8 --calibration street.mp4
"""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from fairmot_mm.utils.command_line import (
    Parser,
    add_trust_option,
    command,
    open_config,
)

if TYPE_CHECKING:  # so that --help need not wait for MMEngine
    from mmengine.config import Config


def make_parser() -> Parser:
    """Describe the command line."""
    parser = Parser(__doc__)
    parser.add_config()
    parser.add_argument("checkpoint", help="checkpoint file, or its URL")
    add_trust_option(parser)
    parser.add_argument(
        "--to", required=True, help="file to write: .onnx, or .xml with its .bin"
    )
    parser.add_argument(
        "--size",
        help="width and height of the network input, e.g. 576x320; default: the "
        "config's input_size of the test data",
    )
    parser.add_argument(
        "--int8", action="store_true", help="convolutions in int8; needs --calibration"
    )
    parser.add_argument(
        "--calibration",
        help="what the network will see: video, folder of images, or config whose "
        "training data are read",
    )
    parser.add_argument(
        "--calibration-frames", type=int, default=100, help="how many of it are read"
    )
    parser.add_argument(
        "--compare",
        help="video or folder to compare on with PyTorch; default: the calibration's "
        "frames, or made-up ones",
    )
    return parser


def size_of(cfg: "Config") -> tuple[int, int]:
    """Width and height of the network input by the config.

    Raises:
        ValueError: If it says none.
    """
    size = cfg.test_dataloader.dataset.get("input_size")
    if not size:
        raise ValueError(
            f"{cfg.filename} has no test_dataloader.dataset.input_size: name the "
            "size of the network input by --size, e.g. --size 576x320"
        )
    return size[0], size[1]


@command(make_parser)
def main(args: argparse.Namespace) -> None:
    """Export."""
    if args.int8 != (args.calibration is not None):
        raise ValueError(
            "--int8 needs --calibration, a video, a folder or a config with real "
            "frames, and --calibration needs --int8"
        )
    if args.calibration_frames < 1:
        raise ValueError(f"--calibration-frames {args.calibration_frames}: at least 1")
    from fairmot_mm.apis import init_model
    from fairmot_mm.deployment.exporting import check_size, export_model, parse_size
    from fairmot_mm.deployment.frames import read_frames

    cfg = open_config(args)
    size = size_of(cfg) if args.size is None else parse_size(args.size)
    check_size(size)
    calibration = compared = None
    if args.int8:
        source = as_source(args.calibration)
        calibration = read_frames(source, size, args.calibration_frames)
        print(f"{len(calibration)} frames for calibration")
    if args.compare is not None:
        compared = read_frames(args.compare, size, 10)
    model = init_model(
        cfg, args.checkpoint, "cpu", trust_checkpoint=args.trust_checkpoint
    )
    print(export_model(model, args.to, size, calibration, compared))
    print(args.to)


def as_source(name: str) -> "str | Config":
    """A video or folder by its path, or the config of this name."""
    if Path(name).suffix not in ("", ".py") or Path(name).is_dir():
        return name
    return open_config(argparse.Namespace(config=name, cfg_options=None))


if __name__ == "__main__":
    sys.exit(main())
