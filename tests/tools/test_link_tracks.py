"""Broken tracks of result files are joined by the tool, over what was dumped."""

import runpy
from pathlib import Path

import numpy as np
import pytest

from fairmot_mm.formats.boxes import xywh_to_xyxy
from fairmot_mm.formats.detection_dumps import DumpInfo, DumpWriter, FrameDetections
from fairmot_mm.formats.mot_results import read_results, write_results

TOOL = Path(__file__).parents[2] / "tools/link_tracks.py"
LENGTH = 40


def link(*arguments) -> int:
    return runpy.run_path(str(TOOL))["main"]([*map(str, arguments)])


def walk() -> np.ndarray:
    """Rows of two people who walk past each other."""
    frames = np.repeat(np.arange(1, LENGTH + 1), 2)
    ids = np.tile([1, 2], LENGTH)
    x = np.where(ids == 1, 20 + 3 * frames, 200 - 3 * frames)
    columns = (frames, ids, x, 10, 20, 50, 0.9)
    return np.column_stack(np.broadcast_arrays(*columns)).astype(float)


@pytest.fixture
def folders(tmp_path) -> tuple[Path, Path]:
    """Results in which person 1 is lost for three frames, and what was detected."""
    rows = walk()
    writer = DumpWriter(tmp_path / "dumps", DumpInfo("SEQ", 1, 1, 30.0))
    for frame in range(1, LENGTH + 1):
        here = rows[rows[:, 0] == frame]
        boxes, looks = xywh_to_xyxy(here[:, 2:6]), np.eye(4)[here[:, 1].astype(int)]
        found = FrameDetections(boxes, here[:, 6], np.zeros(2), looks)
        writer.write(found.as_written(0.05))
    writer.close()
    broken = (rows[:, 1] == 1) & (rows[:, 0] > 20)
    rows[broken, 1] = 7
    lost = broken & (rows[:, 0] < 24)
    write_results(tmp_path / "results/SEQ.txt", rows[~lost])
    return tmp_path / "results", tmp_path / "dumps"


def test_a_broken_track_is_joined_and_filled(folders, tmp_path, capsys):
    assert link(*folders, "--out", tmp_path / "out") == 0
    assert "SEQ: 3 tracks, 1 joined" in capsys.readouterr().out
    linked, truth = read_results(tmp_path / "out/SEQ.txt"), walk()
    np.testing.assert_array_equal(linked[:, :2], truth[:, :2])
    np.testing.assert_allclose(linked[:, 2:6], truth[:, 2:6], atol=0.01)


def test_mistakes_are_one_line(folders, tmp_path, capsys):
    def error(*arguments) -> str:
        assert link(*arguments) == 2
        (line,) = capsys.readouterr().err.splitlines()
        return line

    results, dumps = folders
    out = ("--out", tmp_path / "out")
    assert "no result files, expected NAME.txt" in error(tmp_path, dumps, *out)
    assert "would replace the results" in error(*folders, "--out", results)
    rows = walk()
    rows[:, 3] += 500
    write_results(tmp_path / "far/SEQ.txt", rows)
    assert "only 0 of 80 boxes" in error(tmp_path / "far", dumps, *out)
    write_results(tmp_path / "other/SEQ-2.txt", rows)
    assert "no dump of SEQ-2; there is SEQ" in error(tmp_path / "other", dumps, *out)
