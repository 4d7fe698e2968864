import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[2] / "tools/robustness"))

from long_stream import growth, run


def test_memory_stays_flat_over_a_stream():
    """A short version of tools/robustness/long_stream.py."""
    samples = np.array(run(2000))
    assert samples[:, 0].tolist() == [500, 1000, 1500, 2000]
    assert growth(samples[:, 1]) < 0.02
