"""Run one of MMTracking's own tools with toolboxes newer than it accepts.

python -m fairmot_mm.integrations.mmtrack TOOL [ARGUMENTS]

TOOL is a script, or the name of one installed with MMTracking, such as test.py.
"""

import argparse
import runpy
import sys
from pathlib import Path

from fairmot_mm.utils.command_line import Parser, command, running


def make_parser() -> Parser:
    """Describe the command line."""
    Parser.program = "python -m fairmot_mm.integrations.mmtrack"
    parser = Parser(__doc__)
    parser.add_argument("tool", help="script, or name of one of MMTracking's")
    parser.add_argument("arguments", nargs=argparse.REMAINDER, help="the tool's")
    return parser


@command(make_parser)
def main(args: argparse.Namespace) -> None:
    """Run the tool with its arguments."""
    import fairmot_mm.integrations.mmtrack  # noqa: F401  (makes the next import work)

    import mmtrack  # isort: skip

    installed = Path(mmtrack.__file__).parent / ".mim" / "tools"
    scripts = [Path(args.tool), installed / args.tool]
    found = [script for script in scripts if script.is_file()]
    if not found:
        raise FileNotFoundError(f"no tool {args.tool}, neither here nor in {installed}")
    sys.argv = [str(found[0]), *args.arguments]
    with running():
        runpy.run_path(sys.argv[0], run_name="__main__")


if __name__ == "__main__":
    sys.exit(main())
