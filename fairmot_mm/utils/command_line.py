"""What the tools' command lines share: options, configs by name, errors in a line."""

import argparse
import difflib
import functools
import inspect
import json
import os
import re
import sys
import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from .paths import CONFIGS, PACKAGE

if TYPE_CHECKING:  # so that --help need not wait for MMEngine
    import torch
    from mmengine.config import Config

Main = Callable[[argparse.Namespace], int | None]

_READER_GONE = 141  # as shells tell of SIGPIPE


class CfgOptions(argparse.Action):
    """MMEngine's reader of KEY=VALUE, which leaves the blanks in a path."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: str | Sequence[object] | None,
        option_string: str | None = None,
    ) -> None:
        """Add the settings to those given before."""
        from mmengine.config import DictAction

        settings = dict(getattr(namespace, self.dest) or {})
        for item in map(str, values or ()):
            key, equals, value = item.partition("=")
            if not equals:
                parser.error(f"{option_string} {item}: expected KEY=VALUE")
            if " " in value and not set("[](),") & set(value):
                settings[key] = value.strip("'\"")
            else:
                settings[key] = DictAction._parse_iterable(value)
        setattr(namespace, self.dest, settings)


class Parser(argparse.ArgumentParser):
    """Parser of a tool: its docstring is printed as it stands, an error in one line."""

    program: str | None = None  # how the tool was called, if not as a script

    def __init__(self, description: str | None) -> None:
        super().__init__(self.program, description=description)
        self.formatter_class = argparse.RawDescriptionHelpFormatter
        text = "show the traceback of an error"
        self.add_argument("--debug", action="store_true", help=text)

    def add_config(
        self,
        help: str = "config file, or name of a packaged one",
        optional: bool = False,
    ) -> None:
        """Add the positional ``config`` and ``--cfg-options``."""
        self.add_argument("config", nargs="?" if optional else None, help=help)
        self.add_cfg_options()

    def add_cfg_options(self) -> None:
        """Add ``--cfg-options``."""
        self.add_argument(
            "--cfg-options",
            nargs="+",
            action=CfgOptions,
            metavar="KEY=VALUE",
            help="override settings of the config",
        )

    def error(self, message: str) -> NoReturn:
        """Exit without the usage, which hides the message."""
        _report(message)
        sys.exit(2)


def runner_parser(description: str | None) -> Parser:
    """Parser with the toolboxes' usual options of a tool that runs a config."""
    parser = Parser(description)
    parser.add_config()
    parser.add_argument("--work-dir", help="folder of logs, checkpoints and figures")
    launchers = ("none", "pytorch", "slurm")
    text = "what started the processes; set by the scripts dist_* and slurm_*"
    parser.add_argument("--launcher", choices=launchers, default="none", help=text)
    text = "number of this process on its machine, given by old launchers"
    parser.add_argument("--local-rank", "--local_rank", type=int, default=0, help=text)
    add_trust_option(parser)
    parser.add_argument("--amp", action="store_true", help="half precision: faster")
    return parser


def add_trust_option(parser: argparse.ArgumentParser) -> None:
    """Add ``--trust-checkpoint``."""
    text = "read the checkpoint even if that may run code hidden in it"
    parser.add_argument("--trust-checkpoint", action="store_true", help=text)


def find_device(name: str | None) -> "torch.device":
    """The device of ``--device``, or this machine's best.

    Raises:
        ValueError: There is no such device.
    """
    import torch

    from .devices import default_device

    try:
        return torch.zeros(1, device=name or default_device()).device
    except Exception as error:  # PyTorch raises several, of many lines
        raise ValueError(
            f"--device {name}: no such device here; leave it out, or give cpu or "
            "cuda:N (nvidia-smi lists them)"
        ) from error


def find_config(name: str) -> str:
    """Path of a config: a file, or a packaged one by its name (``fairmot_dla34_demo``).

    Raises:
        FileNotFoundError: If it is neither; names the packaged configs most like it.
    """
    if Path(name).is_file():
        return name
    packaged = {
        path.relative_to(CONFIGS).with_suffix("").as_posix(): path
        for path in CONFIGS.rglob("*.py")
        if path.parent.name != "_base_"
    }
    if name in packaged:
        return str(packaged[name])
    similar = difflib.get_close_matches(Path(name).stem, packaged)
    raise FileNotFoundError(
        f"no config {name}: neither a file nor a packaged config"
        + (f"; did you mean {' or '.join(similar)}?" if similar else "")
    )


def open_config(args: argparse.Namespace) -> "Config":
    """Join the config file and ``--cfg-options``."""
    from mmengine.config import Config

    path = find_config(args.config)
    try:
        cfg = Config.fromfile(path)
    except SyntaxError as error:
        raise ValueError(f"{path}:{error.lineno}: {error.msg}") from error
    except Exception as error:  # whatever the code of a config may raise
        raise ValueError(f"{path}: {one_line(error)}") from error
    if args.cfg_options is not None:
        _check_keys(args.cfg_options, cfg)
        cfg.merge_from_dict(args.cfg_options)
    return cfg


def _check_keys(settings: Iterable[str], cfg: "Config") -> None:
    """Refuse a misspelt key, which would have no effect; others may be new."""
    from mmengine.runner import Runner

    known = {*cfg, *inspect.signature(Runner).parameters}
    for name in {setting.split(".")[0] for setting in settings} - known:
        if similar := difflib.get_close_matches(name, known, 1, cutoff=0.8):
            raise ValueError(
                f"--cfg-options: no key {name} in {cfg.filename}; "
                f"did you mean {similar[0]}?"
            )


def read_config(args: argparse.Namespace) -> "Config":
    """Join the config file and the options of :func:`runner_parser`."""
    os.environ.setdefault("LOCAL_RANK", str(args.local_rank))
    cfg = open_config(args)
    cfg.launcher = args.launcher
    if args.work_dir is not None:
        cfg.work_dir = args.work_dir
    elif cfg.get("work_dir") is None:
        cfg.work_dir = str(Path("work_dirs") / Path(args.config).stem)
    return cfg


def command(make_parser: Callable[[], Parser]) -> Callable[[Main], Callable[..., int]]:
    """Make a tool's ``main(args)`` a ``main(argv=None)`` that returns an exit status.

    A tool's input (options, configs, files, checkpoints) is the user's: whatever
    exception it causes ends as one line ``error: ...`` on stderr, and status 2. With
    ``--debug`` the exception is raised. See :func:`running` for what takes hours.
    Ctrl-C ends with status 130, as in a shell.
    """

    def decorate(main: Main) -> Callable[..., int]:
        @functools.wraps(main)
        def run(argv: Sequence[str] | None = None) -> int:
            args = make_parser().parse_args(argv)
            try:
                with ending_with_its_reader():
                    return main(args) or 0
            except KeyboardInterrupt:
                if args.debug:
                    raise
                print("interrupted", file=sys.stderr)
                return 130
            except Exception as error:
                if args.debug:
                    raise
                _report(one_line(error))
                return 2

        return run

    return decorate


@contextmanager
def ending_with_its_reader() -> Iterator[None]:
    """End quietly where whoever reads the output has gone, as ``| head`` does."""
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError:
        # What is left in the buffer would fail once more when Python ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(_READER_GONE) from None


@contextmanager
def running() -> Iterator[None]:
    """Enclose the long part of a tool.

    Here an error that is not about the tool's input is a defect: its traceback is
    printed and the status is 1, so that a long run need not be repeated to locate it.
    """
    try:
        yield
    except Exception as error:
        if _about_input(error):
            raise
        traceback.print_exc()
        raise SystemExit(1) from None


def _about_input(error: Exception) -> bool:
    """Whether files, config or checkpoint are at fault.

    They are if the file system failed, if something was being built or loaded, or if
    this package raised the error itself.
    """
    # A data loader's worker passes its traceback on as text.
    text = "".join(traceback.format_tb(error.__traceback__)) + str(error)
    frames = re.findall(r'(?m)^ +File "(.+)", line \d+, in (\w+)\n +(.+)', text)
    file, _, source = frames[-1]
    building = any(name.startswith(("build_", "load_")) for _, name, _ in frames)
    ours = Path(file).resolve().is_relative_to(PACKAGE)
    raised = ours and source.startswith("raise ")
    return isinstance(error, OSError) or building or raised


def _report(message: str) -> None:
    """Print one line; under torchrun leave it to tools/dist_run.py, for all at once."""
    error_file = os.environ.get("TORCHELASTIC_ERROR_FILE")
    if error_file:
        report = dict(message=message, timestamp=int(time.time()))
        Path(error_file).write_text(json.dumps(report), encoding="utf-8")
    else:
        print(f"error: {message}", file=sys.stderr)


def one_line(error: Exception) -> str:
    """The message of an exception; its type too where the message may need it."""
    name = type(error).__name__
    text = str(error)
    if isinstance(error, KeyError) and error.args:
        text = str(error.args[0])  # without the quotes
    if "Original Traceback" in text:  # of a data loader's worker
        text = text.strip().splitlines()[-1].removeprefix(f"{name}: ")
    if isinstance(error, OSError) and error.filename and error.strerror:
        text = f"{error.filename}: {error.strerror}"  # without the number
    text = " ".join(text.split())
    if isinstance(error, OSError | ValueError) and text:
        return text
    return " ".join(filter(None, (f"{name}:", text, "(--debug shows where)")))
