"""Short versions of tools/robustness/training_kills.py and full_disks.py."""

import random
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "tools/robustness"))

from full_disks import disk, fill_with_checkpoints, size_of
from training_kills import Bench, kill_trainings


def test_a_killed_training_resumes_bit_for_bit(tmp_path):
    random.seed(0)
    bench = Bench(tmp_path)
    kill_trainings(bench, 1)
    assert bench.counts == {
        "killed at a random moment": {"bit for bit as undisturbed": 1}
    }


def test_a_training_that_filled_the_disk_resumes_bit_for_bit(tmp_path):
    try:
        with disk(tmp_path / "trial", 4096):
            pass
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("only root may mount a small file system")
    random.seed(0)
    bench = Bench(tmp_path)
    assert bench.finish("whole") == 0
    fill_with_checkpoints(bench, "full", size_of(tmp_path / "whole"))
    assert bench.counts == {"checkpoints": {"told, then resumed bit for bit": 1}}
