"""Train a model."""

import argparse
import sys
from typing import TYPE_CHECKING

from fairmot_mm.utils.command_line import (
    Parser,
    command,
    read_config,
    runner_parser,
    running,
)

if TYPE_CHECKING:  # so that --help need not wait for MMEngine
    from mmengine.config import Config


def make_parser() -> Parser:
    """Describe the command line."""
    parser = runner_parser(__doc__)
    parser.add_argument(
        "--resume",
        nargs="?",
        const="auto",
        help="resume from this checkpoint, or from the newest in the work dir",
    )
    parser.add_argument(
        "--auto-scale-lr",
        action="store_true",
        help="scale the learning rate with the batch, see auto_scale_lr in the config",
    )
    return parser


def load_config(args: argparse.Namespace) -> "Config":
    """Join the config file and the command line."""
    import torch

    cfg = read_config(args)
    if args.amp and torch.cuda.is_available():
        cfg.optim_wrapper.update(type="AmpOptimWrapper", loss_scale="dynamic")
    elif args.amp:
        cfg.optim_wrapper.type = "fairmot_mm.BFloat16OptimWrapper"
    if args.auto_scale_lr:
        if "base_batch_size" not in cfg.get("auto_scale_lr", {}):
            raise ValueError(
                f"--auto-scale-lr needs auto_scale_lr.base_batch_size in {args.config}"
            )
        cfg.auto_scale_lr.enable = True
    if args.resume is not None:
        cfg.resume = True
        cfg.load_from = None if args.resume == "auto" else args.resume
    if args.trust_checkpoint:
        cfg.merge_from_dict({"default_hooks.checkpoint.trust_checkpoint": True})
    return cfg


@command(make_parser)
def main(args: argparse.Namespace) -> None:
    """Train."""
    from fairmot_mm.engine.runner import build_runner

    runner = build_runner(load_config(args))
    with running():
        runner.train()


if __name__ == "__main__":
    sys.exit(main())
