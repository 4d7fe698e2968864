import json
import subprocess
import sys
from pathlib import Path

import pytest

TOOL = Path(__file__).parents[2] / "tools/analysis_tools/tracker_options.py"


@pytest.fixture(scope="module")
def table(tmp_path_factory) -> dict:
    out = tmp_path_factory.mktemp("options") / "figures.json"
    done = subprocess.run(
        [sys.executable, TOOL, "--seeds", "1", "--out", out],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(out.read_text())


@pytest.mark.parametrize(
    ("scene", "option", "figure", "least"),
    [
        ("low_scores", "low_score_thr", "MOTA", 0.1),
        ("moving_camera", "camera_motion", "IDF1", 0.1),
        ("sudden_moves", "noise_by_score", "MOTP", 0.01),
        ("long_occlusions", "max_gap", "MOTA", 0.1),
    ],
)
def test_each_option_improves_its_figure(table, scene, option, figure, least):
    assert table[scene][option][figure] > table[scene]["none"][figure] + least
    assert table[scene][option]["HOTA"] > table[scene]["none"]["HOTA"]
