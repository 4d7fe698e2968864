"""Track and score."""

import argparse
import sys
from pathlib import Path
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
        "checkpoint", help="checkpoint file, its URL, or exported model (.onnx, .xml)"
    )
    parser.add_argument("--out", help="folder for the result files, one per sequence")
    parser.add_argument(
        "--show-dir", help="folder for the tracked videos and their frames"
    )
    parser.add_argument(
        "--dump",
        help="folder for the detections of every frame, for tools/track_detections.py",
    )
    parser.add_argument(
        "--format-only",
        action="store_true",
        help="write result files for a submission and do not score them",
    )
    return parser


def load_config(args: argparse.Namespace) -> "Config":
    """Join the config file and the command line."""
    cfg = read_config(args)
    metrics = cfg.test_evaluator
    if isinstance(metrics, list):
        metrics = [metric for metric in metrics if "MOTMetric" in str(metric.type)]
    else:
        metrics = [metrics]
    if args.format_only:
        args.out = args.out or str(Path(cfg.work_dir) / "results")
        cfg.test_evaluator = metrics  # others write no results
    for metric in metrics if args.out is not None else ():
        metric.outfile_prefix = args.out
        metric.format_only = args.format_only
    if args.show_dir is not None:
        hook = dict(type="fairmot_mm.TrackVideoHook", out_dir=args.show_dir)
        cfg.custom_hooks = [*cfg.get("custom_hooks", []), hook]
    if args.dump is not None:
        hook = dict(type="fairmot_mm.DumpDetectionsHook", out_dir=args.dump)
        cfg.custom_hooks = [*cfg.get("custom_hooks", []), hook]
    # Tracking needs neither training data nor a schedule, and these hooks need both.
    cfg.custom_hooks = [
        hook
        for hook in cfg.get("custom_hooks", [])
        if not str(hook.type).endswith(("EMAHook", "EarlyStoppingHook"))
    ]
    for key in [*cfg.keys()]:
        if key.startswith(("train_", "val_", "optim_wrapper", "param_scheduler")):
            cfg.pop(key)
    cfg.load_from, cfg.resume = None, False
    return cfg


@command(make_parser)
def main(args: argparse.Namespace) -> None:
    """Track and score."""
    import torch
    from mmengine.model import is_model_wrapper

    from fairmot_mm.checkpoints import load_for_tracking
    from fairmot_mm.deployment import exported_config, is_exported
    from fairmot_mm.engine.mixed_precision import half_precision
    from fairmot_mm.engine.runner import build_runner
    from fairmot_mm.utils.devices import default_device

    cfg = load_config(args)
    exported = is_exported(args.checkpoint)
    if exported:
        half = torch.bfloat16 if args.amp else torch.float32
        cfg = exported_config(args.checkpoint, cfg, default_device(), half)
    runner = build_runner(cfg)
    model = runner.model.module if is_model_wrapper(runner.model) else runner.model
    # Not the runner's own loading, which lets tensors be missing.
    if not exported:
        load_for_tracking(model, args.checkpoint, args.trust_checkpoint)
    if (optimize := getattr(model, "optimize_for_inference", None)) is not None:
        device = next(model.parameters()).device
        optimize(half_precision(device) if args.amp else torch.float32)
    with running():
        runner.test()


if __name__ == "__main__":
    sys.exit(main())
