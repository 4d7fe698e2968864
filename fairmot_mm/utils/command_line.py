"""What the command lines of the tools share."""

import argparse
import os
from pathlib import Path

from mmengine.config import Config, DictAction


class CfgOptions(DictAction):
    """MMEngine's reader of KEY=VALUE, which leaves the blanks in a path."""

    @staticmethod
    def _parse_iterable(val: str) -> object:
        if " " in val and not set("[](),") & set(val):
            return val.strip("'\"")
        return DictAction._parse_iterable(val)


def runner_parser(description: str) -> argparse.ArgumentParser:
    """Parser with the toolboxes' usual options of a tool that runs a config."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("config", help="config file")
    parser.add_argument("--work-dir", help="folder of logs, checkpoints and figures")
    add_cfg_options(parser)
    parser.add_argument(
        "--launcher",
        choices=("none", "pytorch", "slurm"),
        default="none",
        help="who started the processes; the scripts dist_* and slurm_* say it",
    )
    parser.add_argument(
        "--local-rank",
        "--local_rank",
        type=int,
        default=0,
        help="number of this process on its machine, given by old launchers",
    )
    return parser


def add_cfg_options(parser: argparse.ArgumentParser) -> None:
    """Add ``--cfg-options``."""
    parser.add_argument(
        "--cfg-options",
        nargs="+",
        action=CfgOptions,
        metavar="KEY=VALUE",
        help="override settings of the config",
    )


def open_config(args: argparse.Namespace) -> Config:
    """Join the config file and ``--cfg-options``."""
    cfg = Config.fromfile(args.config)
    if args.cfg_options is not None:
        cfg.merge_from_dict(args.cfg_options)
    return cfg


def read_config(args: argparse.Namespace) -> Config:
    """Join the config file and the options of :func:`runner_parser`."""
    os.environ.setdefault("LOCAL_RANK", str(args.local_rank))
    cfg = open_config(args)
    cfg.launcher = args.launcher
    if args.work_dir is not None:
        cfg.work_dir = args.work_dir
    elif cfg.get("work_dir") is None:
        cfg.work_dir = str(Path("work_dirs") / Path(args.config).stem)
    return cfg
