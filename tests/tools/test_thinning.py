"""Every N-th frame of detections that are the ground truth."""

import re
import runpy
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def thinning():
    return runpy.run_path(str(ROOT / "tools/analysis_tools/thinning.py"))["main"]


@pytest.fixture(scope="module")
def walk(tmp_path_factory) -> Path:
    """One who walks on by a twelfth of the width in each of 40 frames."""
    folder = tmp_path_factory.mktemp("thin") / "WALK"
    (folder / "gt").mkdir(parents=True)
    (folder / "det").mkdir()
    (folder / "seqinfo.ini").write_text(
        "[Sequence]\nname=WALK\nimDir=img1\nframeRate=30\nseqLength=40\n"
        "imWidth=640\nimHeight=480\nimExt=.jpg\n"
    )
    boxes = [(frame, 20 + 5 * frame) for frame in range(1, 41)]
    gt = "".join(f"{frame},1,{x},100,60,150,1,1,1\n" for frame, x in boxes)
    (folder / "gt/gt.txt").write_text(gt)
    det = "".join(f"{frame},-1,{x},100,60,150,0.9\n" for frame, x in boxes)
    (folder / "det/det.txt").write_text(det)
    return folder.parent


def rows(text: str) -> dict[str, list[str]]:
    lines = [
        re.split(r"\s*\|\s*", line)[1:-1] for line in text.splitlines() if "|" in line
    ]
    return {name: values for name, *values in lines}


def test_time_keeps_up_with_who_walks(thinning, walk, capsys):
    arguments = [str(walk), "--gt-root", str(walk), "--every", "1", "9"]
    assert thinning(arguments) == 0
    table = rows(capsys.readouterr().out)
    figures = {
        name: dict(zip(table["Every"], v, strict=True)) for name, v in table.items()
    }
    assert figures["1, by time"]["HOTA"] == "100.0"
    # Nine steps are three quarters of the width: without a speed nobody overlaps.
    by_time, by_frames = figures["9, by time"], figures["9, by frames"]
    assert float(by_time["MOTA"]) >= float(by_frames["MOTA"])


def test_mistakes_are_one_line(thinning, walk, capsys):
    arguments = [str(walk), "--gt-root", str(walk), "--every", "0"]
    assert thinning(arguments) == 2
    assert capsys.readouterr().err == "error: --every 0: expected 1 or more\n"
