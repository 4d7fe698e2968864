"""The console command ``fairmot COMMAND ...``, which runs the tools."""

import ast
import difflib
import runpy
import sys
from collections.abc import Sequence

from fairmot_mm.utils.command_line import Parser, ending_with_its_reader
from fairmot_mm.utils.paths import TOOLS
from fairmot_mm.version import __version__

COMMANDS = {
    "train": "train.py",
    "test": "test.py",
    "track": "track_video.py",
    "archive": "archive.py",
    "track-detections": "track_detections.py",
    "tune": "tune_tracker.py",
    "link": "link_tracks.py",
    "eval": "analysis_tools/eval_mot.py",
    "report": "analysis_tools/report.py",
    "embedding-report": "analysis_tools/embedding_report.py",
    "export": "deployment/export.py",
    "convert": "model_converters/fairmot2mm.py",
    "convert-back": "model_converters/mm2fairmot.py",
    "synthesize": "make_synthetic_mot.py",
    "check": "analysis_tools/check_dataset.py",
    "browse": "analysis_tools/browse_dataset.py",
    "write-seqinfo": "dataset_converters/write_seqinfo.py",
    "benchmark": "analysis_tools/benchmark.py",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run a tool in this process, as ``python tools/TOOL.py`` would."""
    name, *arguments = (sys.argv[1:] if argv is None else argv) or ["--help"]
    if name in ("-h", "--help"):
        with ending_with_its_reader():
            _print_commands()
        return 0
    if name == "--version":
        print(f"fairmot_mm {__version__}")
        return 0
    if name not in COMMANDS:
        similar = difflib.get_close_matches(name, COMMANDS, 1)
        hint = f"did you mean {similar[0]}?" if similar else "see fairmot --help"
        print(f"error: no command {name}: {hint}", file=sys.stderr)
        return 2
    script = TOOLS / COMMANDS[name]
    Parser.program = f"fairmot {name}"
    sys.argv = [str(script), *arguments]
    sys.path.insert(0, str(script.parent))
    runpy.run_path(str(script), run_name="__main__")
    return 0


def _print_commands() -> None:
    print("usage: fairmot COMMAND ...\n\nfairmot COMMAND --help says more.\n")
    for command, tool in COMMANDS.items():
        # Its docstring is read without running it.
        text = (TOOLS / tool).read_text(encoding="utf-8")
        summary, *_ = (ast.get_docstring(ast.parse(text)) or "").split("\n")
        print(f"  {command:20}{summary}")


if __name__ == "__main__":
    sys.exit(main())
