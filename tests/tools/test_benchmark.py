import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[2]
TOOL = ROOT / "tools/analysis_tools/benchmark.py"
sys.path.insert(0, str(TOOL.parent))

from benchmark_sections import _crowd  # noqa: E402
from reference_impl import TrackByTrack  # noqa: E402

from fairmot_mm.models import JDETracker  # noqa: E402


def test_figures_as_json(tmp_path):
    out = tmp_path / "figures.json"
    command = [sys.executable, str(TOOL), "--only", "deform_conv", "--runs", "1"]
    subprocess.run([*command, "--out", str(out)], check=True, cwd=ROOT)
    figures = json.loads(out.read_text())
    assert figures["environment"]["threads"] >= 1
    row = figures["rows"][0]
    assert row["what"] == "deformable convolution"
    assert row["ratio"] == pytest.approx(row["reference"] / row["ours"])


def test_unknown_section_is_refused():
    command = [sys.executable, str(TOOL), "--only", "coffee"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "coffee" in done.stderr


def test_track_by_track_gives_the_same_tracks():
    trackers = JDETracker(), TrackByTrack()
    for frame in _crowd(20, 15):
        ours, theirs = (tracker.update(*frame) for tracker in trackers)
        assert ours.instances_id.tolist() == theirs.instances_id.tolist()
        assert np.allclose(ours.bboxes, theirs.bboxes, atol=1e-3)
