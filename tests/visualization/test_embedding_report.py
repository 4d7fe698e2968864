"""Whom embeddings tell apart and whom they confuse, on people made up for it."""

import json
import re
import runpy
from pathlib import Path

import numpy as np
import pytest

from fairmot_mm.formats.boxes import xywh_to_xyxy
from fairmot_mm.formats.detection_dumps import DumpInfo, DumpWriter, FrameDetections
from fairmot_mm.formats.mot import evaluated_pedestrians, find_sequences, read_gt
from fairmot_mm.visualization.embedding_report import (
    Looks,
    distances_by_gap,
    nearest_wrong,
)

TOOL = Path(__file__).parents[2] / "tools/analysis_tools/embedding_report.py"


def run(*arguments) -> int:
    return runpy.run_path(str(TOOL))["main"]([*map(str, arguments)])


def made_up(angles: dict[int, float], turn: float) -> Looks:
    """People by the angle of their embedding, which turns by so much per frame."""
    rows = [(frame, person) for frame in range(1, 13) for person in angles]
    frames, people = map(np.array, zip(*rows, strict=True))
    directions = np.array([angles[p] for p in people]) + turn * frames
    embeddings = np.column_stack((np.cos(directions), np.sin(directions)))
    boxes = np.tile([10.0, 10, 5, 9], (len(rows), 1))
    return Looks("X", embeddings.astype(np.float32), people, frames, boxes, 0)


def test_distances_and_neighbours_by_hand():
    looks = made_up({1: 0.0, 2: 1.0, 3: 1.2}, turn=0.01)
    found = distances_by_gap(looks)
    assert found["gaps"] == [1, 2, 5, 10]
    for gap, same in zip(found["gaps"], found["same"], strict=True):
        np.testing.assert_allclose(same, 1 - np.cos(0.01 * gap), atol=1e-6)
    assert min(quartiles[0] for quartiles in found["different"]) > found["same"][0][2]
    pairs = nearest_wrong(looks)
    people = [{*looks.people[[a, b]].tolist()} for a, b, _ in pairs]
    assert people == [{2, 3}, {1, 2}, {1, 3}]
    # At the closest, one of them 11 frames ahead.
    assert pairs[0][2] == pytest.approx(1 - np.cos(0.2 - 0.11), abs=1e-6)


@pytest.fixture(scope="module")
def dumps(synthetic, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("dumps")
    rng = np.random.default_rng(0)
    for sequence in find_sequences(synthetic, ["SYN-00"]):
        truth = read_gt(sequence)
        writer = DumpWriter(folder, DumpInfo(sequence.name, 1, 1, 30.0, config="made"))
        for frame in range(1, sequence.length + 1):
            people = truth.select(truth.frames == frame)
            looks = np.eye(9)[people.ids % 9] + rng.normal(0, 0.05, (len(people), 9))
            scores, labels = np.ones(len(people)), np.zeros(len(people))
            boxes = xywh_to_xyxy(people.boxes)
            found = FrameDetections(boxes, scores, labels, looks)
            writer.write(found.as_written(0))
        writer.close()
    return folder


def test_page(dumps, synthetic, tmp_path, capsys):
    out = tmp_path / "page.html"
    assert run(dumps, "--gt-root", synthetic, "--out", out) == 0
    assert "SYN-00 TPR@FAR0.0001 100.0" in capsys.readouterr().out
    text = out.read_text()
    (data,) = re.findall(r'id="data">(.*?)</script>', text, re.DOTALL)
    (part,) = json.loads(data)["sequences"]
    truth = read_gt(find_sequences(synthetic, ["SYN-00"])[0])
    scored = evaluated_pedestrians(truth)
    assert len(part["map"]["x"]) == scored.sum()
    people = len(np.unique(truth.ids[scored]))
    assert len(part["confusions"]) == people * (people - 1) // 2
    assert part["confusions"][0]["pictures"][0][1].startswith("UklGR")


def test_mistakes_are_one_line(dumps, synthetic, tmp_path, capsys):
    out = ("--out", tmp_path / "page.html")
    data = tmp_path / "data/SYN-00"
    data.mkdir(parents=True)
    for name in ("seqinfo.ini", "gt"):
        (data / name).symlink_to(synthetic / "SYN-01" / name)
    info = data / "seqinfo.ini"
    text = info.read_text().replace("SYN-01", "SYN-00")
    info.unlink()
    info.write_text(text)
    rows = (data / "gt/gt.txt").read_text().splitlines()
    cells = [row.split(",") for row in rows]
    (data / "gt").unlink()
    (data / "gt").mkdir()
    far = [",".join([c[0], c[1], "5000", *c[3:]]) for c in cells]
    (data / "gt/gt.txt").write_text("\n".join(far))
    assert run(dumps, "--gt-root", data.parent, *out) == 2
    assert "no detection overlaps a person" in capsys.readouterr().err
