"""Run one of MMTracking's own tools with toolboxes newer than it accepts.

python -m fairmot_mm.integrations.mmtrack TOOL [ARGUMENTS]

TOOL is a script, or the name of one installed with MMTracking, such as test.py.
"""

import runpy
import sys
from pathlib import Path

import fairmot_mm.integrations.mmtrack  # noqa: F401  (makes the next import work)

import mmtrack  # isort: skip


def main() -> None:
    """Run the tool with the arguments after its name."""
    if len(sys.argv) < 2:
        sys.exit(f"usage: {__doc__.split(chr(10))[2]}")
    installed = Path(mmtrack.__file__).parent / ".mim" / "tools"
    scripts = [Path(sys.argv[1]), installed / sys.argv[1]]
    found = [script for script in scripts if script.is_file()]
    if not found:
        sys.exit(f"no tool {sys.argv[1]}, neither here nor in {installed}")
    sys.argv[:2] = [str(found[0])]
    runpy.run_path(sys.argv[0], run_name="__main__")


if __name__ == "__main__":
    main()
