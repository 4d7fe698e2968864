import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "tools/robustness"))

from cut_files import run


def test_no_cut_goes_unnoticed():
    """A short version of tools/robustness/cut_files.py."""
    for suffix, outcomes in run(10, seed=0).items():
        assert outcomes["unnoticed"] == 0, suffix
        assert sum(outcomes.values()) == 10
