"""Track and score: python tools/test.py CONFIG CHECKPOINT."""

import argparse
from pathlib import Path

import torch
from mmengine.config import Config
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner

import fairmot_mm  # noqa: F401  (registers the components)
from fairmot_mm.engine.mixed_precision import half_precision
from fairmot_mm.engine.runner import keep_freed_memory, prepare_cpu_processes
from fairmot_mm.utils import load_for_tracking
from fairmot_mm.utils.command_line import read_config, runner_parser


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = runner_parser(__doc__)
    parser.add_argument("checkpoint", help="checkpoint file")
    parser.add_argument("--out", help="folder for the result files, one per sequence")
    parser.add_argument(
        "--show-dir", help="folder for the tracked videos and their frames"
    )
    parser.add_argument(
        "--format-only",
        action="store_true",
        help="write result files for a submission and do not score them",
    )
    parser.add_argument(
        "--amp",
        action="store_true",
        help="half precision: faster, nearly the same tracks",
    )
    return parser.parse_args()


def load_config(args: argparse.Namespace) -> Config:
    """Join the config file and the command line."""
    cfg = read_config(args)
    if args.format_only:
        cfg.test_evaluator.format_only = True
        args.out = args.out or str(Path(cfg.work_dir) / "results")
    if args.out is not None:
        cfg.test_evaluator.outfile_prefix = args.out
    if args.show_dir is not None:
        hook = dict(type="fairmot_mm.TrackVideoHook", out_dir=args.show_dir)
        cfg.custom_hooks = [*cfg.get("custom_hooks", []), hook]
    # Training's parts are not built: tracking needs neither data nor schedule.
    for key in ("train", "val"):
        for part in (f"{key}_dataloader", f"{key}_cfg", f"{key}_evaluator"):
            cfg.pop(part, None)
    for key in ("optim_wrapper", "param_scheduler", "auto_scale_lr"):
        cfg.pop(key, None)
    cfg.load_from, cfg.resume = None, False
    return cfg


def main() -> None:
    """Track and score."""
    args = parse_args()
    cfg = load_config(args)
    prepare_cpu_processes(cfg)
    keep_freed_memory()
    runner = Runner.from_cfg(cfg)
    model = runner.model.module if is_model_wrapper(runner.model) else runner.model
    # Not the runner's own loading, which lets tensors be missing.
    load_for_tracking(model, args.checkpoint)
    if hasattr(model, "optimize_for_inference"):
        device = next(model.parameters()).device
        dtype = half_precision(device) if args.amp else torch.float32
        model.optimize_for_inference(dtype)
    runner.test()


if __name__ == "__main__":
    main()
