import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "tools/robustness"))

from random_configs import BREAKS, random_config, run, step


def test_configs_run_or_are_refused_by_name():
    """A short version of tools/robustness/random_configs.py."""
    counts = run(12, seed=1)
    assert sum(count.total() for count in counts.values()) == 12
    assert not any(count["failed"] for count in counts.values())


@pytest.mark.parametrize(
    "name",
    ["another detection head", "channels of a head", "channels of the neck"],
)
def test_errors_name_the_key(name):
    for seed in range(3):
        rng = np.random.default_rng(seed)
        cfg = random_config(rng)
        words = BREAKS[name](cfg, rng)
        with pytest.raises((TypeError, ValueError), match="|".join(words)):
            step(cfg)
