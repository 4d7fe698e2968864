import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "tools/robustness"))

from mutations import FORMATS, run


@pytest.mark.parametrize("name", FORMATS)
def test_damaged_files_are_refused_or_read_as_they_are(name):
    """A short version of tools/robustness/mutations.py."""
    outcomes = run(name, count=30, seed=7)
    assert outcomes.total() == 30
    assert outcomes["failed"] == 0
