import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "tools/robustness"))

from checkpoint_damage import run


def test_damaged_checkpoints_are_refused():
    """A short version of tools/robustness/checkpoint_damage.py."""
    outcomes = run(10, seed=0)
    assert outcomes["failed"] == 0
    assert outcomes["refused"] >= 8  # damage in padding bytes changes no weight
