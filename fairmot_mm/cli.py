"""The console command ``fairmot COMMAND ...``: one door to the tools."""

import ast
import difflib
import runpy
import sys
from collections.abc import Sequence

from fairmot_mm.utils.command_line import Parser
from fairmot_mm.utils.paths import TOOLS
from fairmot_mm.version import __version__

COMMANDS = {
    "train": "train.py",
    "test": "test.py",
    "track": "track_video.py",
    "eval": "analysis_tools/eval_mot.py",
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
        print("usage: fairmot COMMAND ...\n\nfairmot COMMAND --help says more.\n")
        for command in COMMANDS:
            print(f"  {command:20}{_summary(command)}")
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


def _summary(command: str) -> str:
    """First sentence of a tool's docstring, read without running the tool."""
    text = (TOOLS / COMMANDS[command]).read_text(encoding="utf-8")
    return (ast.get_docstring(ast.parse(text)) or "").split("\n")[0]


if __name__ == "__main__":
    sys.exit(main())
