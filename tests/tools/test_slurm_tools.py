"""The scripts for a Slurm cluster, with an ``srun`` that says what it was given."""

import os
import subprocess
from pathlib import Path

import pytest

TOOLS = Path(__file__).parents[2] / "tools"


@pytest.fixture
def run(tmp_path):
    srun = tmp_path / "srun"
    srun.write_text('#!/bin/sh\nfor word in "$@"; do echo "$word"; done\n')
    srun.chmod(0o755)
    path = f"{tmp_path}:{os.environ['PATH']}"
    environment = dict(os.environ, PATH=path, PYTHON="python")

    def run(script: str, *arguments: str, **settings: str):
        return subprocess.run(
            ["bash", TOOLS / script, *arguments],
            env=environment | settings,
            capture_output=True,
            text=True,
            check=False,
        )

    return run


def test_training(run):
    outcome = run("slurm_train.sh", "gpu", "my job", "a config.py", "--amp", GPUS="16")
    assert outcome.returncode == 0, outcome.stderr
    words = outcome.stdout.splitlines()
    python = words.index("python")
    assert {
        "--partition=gpu",
        "--job-name=my job",
        "--ntasks=16",
        "--ntasks-per-node=8",
        "--gres=gpu:8",
    } <= set(words[:python])
    script, *arguments = words[python + 2 :]
    assert Path(script).samefile(TOOLS / "train.py")
    assert arguments == ["a config.py", "--amp", "--launcher", "slurm"]


def test_tracking(run):
    outcome = run(
        "slurm_test.sh",
        *("gpu", "job", "config.py", "checkpoint.pth", "--out", "results"),
        GPUS="2",
        PYTHON="/my env/python",
        SRUN_ARGS="--quiet --time=10",
    )
    assert outcome.returncode == 0, outcome.stderr
    words = outcome.stdout.splitlines()
    python = words.index("/my env/python")
    assert {"--ntasks-per-node=2", "--quiet", "--time=10"} <= set(words[:python])
    script, *arguments = words[python + 2 :]
    assert Path(script).samefile(TOOLS / "test.py")
    assert arguments[:4] == ["config.py", "checkpoint.pth", "--out", "results"]
    assert arguments[4:] == ["--launcher", "slurm"]


@pytest.mark.parametrize("script", ["slurm_train.sh", "slurm_test.sh"])
def test_too_few_arguments_show_the_usage(run, script):
    outcome = run(script, "gpu")
    assert outcome.returncode == 2
    assert "usage: " in outcome.stderr
