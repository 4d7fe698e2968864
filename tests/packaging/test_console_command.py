"""`fairmot COMMAND`: one door to the tools, and help at once."""

import subprocess
import sys

import pytest

from fairmot_mm import cli

HEAVY = ("torch", "mmengine", "mmcv", "mmdet", "numba", "cv2")
# What `fairmot` does, then says on stdout which heavy modules it has imported.
FAIRMOT = f"""
import sys
from fairmot_mm.cli import main
try:
    status = main()
finally:
    print("imported", *(m for m in {HEAVY} if m in sys.modules))
sys.exit(status)
"""


def fairmot(*arguments: object) -> subprocess.CompletedProcess:
    command = [sys.executable, "-c", FAIRMOT, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("command", [None, *cli.COMMANDS])
def test_help_imports_nothing_heavy(command):
    done = fairmot(*([command] if command else []), "--help")
    assert (done.returncode, done.stderr) == (0, "")
    name = f"fairmot {command}" if command else "fairmot COMMAND"
    assert done.stdout.startswith(f"usage: {name} ")
    assert done.stdout.endswith("\nimported\n")


def test_help_lists_every_command(capsys):
    assert cli.main(["--help"]) == 0
    listed = capsys.readouterr().out
    for command in cli.COMMANDS:
        assert f"\n  {command} " in listed


def test_an_unknown_command_is_named(capsys):
    assert cli.main(["trian"]) == 2
    assert capsys.readouterr().err == "error: no command trian: did you mean train?\n"


def test_a_mistake_is_one_line_and_the_first(tmp_path):
    work = tmp_path / "work"
    data = "train_dataloader.dataset.data_root=no/train"
    options = ("--work-dir", work, "--cfg-options", data)
    done = fairmot("train", "fairmot_dla34_demo", *options)
    assert done.returncode == 2
    assert done.stderr.startswith("error: no/train: no such folder")
    assert done.stderr.count("\n") == 1
    assert "OneDL" not in done.stdout
