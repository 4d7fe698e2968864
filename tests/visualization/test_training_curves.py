"""Curves of trainings, from logs made up for it."""

import json
import re
import runpy
from pathlib import Path

import pytest

from fairmot_mm.visualization.training_curves import draw_training, read_training

TOOL = Path(__file__).parents[2] / "tools/analysis_tools/report.py"


def write_log(folder: Path, time: str, entries: list[dict], config: str = "") -> Path:
    home = folder / time / "vis_data"
    home.mkdir(parents=True)
    (home / "scalars.json").write_text("".join(json.dumps(e) + "\n" for e in entries))
    (home / "config.py").write_text(config)
    return folder


def step(number: int, loss: float) -> dict:
    parts = dict(heatmap=loss / 2, id=loss / 4, time=0.1, memory=3)
    return dict(lr=1e-3, loss=loss, epoch=1, iter=number, step=number, **parts)


@pytest.fixture
def work_dirs(tmp_path) -> list[Path]:
    first = [step(10, 4.0), step(20, 3.0), {"mot/HOTA": 0.3, "step": 1}, step(30, 2.5)]
    resumed = [step(30, 2.0), step(40, 1.0), {"mot/HOTA": 0.5, "step": 2}]
    write_log(tmp_path / "a", "20260101_000000", first, "lr = 1")
    write_log(tmp_path / "a", "20260102_000000", resumed, "lr = 1\nmodel = dict(x=[1])")
    write_log(tmp_path / "b", "20260101_000000", first, "lr = 2\nmodel = dict(x=[1])")
    return [tmp_path / "a", tmp_path / "b"]


def test_curves_of_a_resumed_training(work_dirs):
    log = read_training(work_dirs[0])
    assert log.losses["loss"] == ([10, 20, 30, 40], [4.0, 3.0, 2.0, 1.0])
    assert sorted(log.losses) == ["heatmap", "id", "loss"]
    assert log.rate[1] == [1e-3] * 4
    # At the iteration before the validation.
    assert log.figures == {"mot/HOTA": ([20, 40], [0.3, 0.5])}
    draw_training(log, work_dirs[0] / "curves.png")
    assert (work_dirs[0] / "curves.png").read_bytes().startswith(b"\x89PNG")


def test_two_trainings_on_a_page(work_dirs, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(TOOL.parent)
    main = runpy.run_path(str(TOOL))["main"]
    out = tmp_path / "page.html"
    assert main(["--work-dir", *map(str, work_dirs), "--out", str(out)]) == 0
    text = out.read_text()
    (data,) = re.findall(r'id="data">(.*?)</script>', text, re.DOTALL)
    losses = json.loads(data)["groups"]["losses"]["loss"]
    assert [curve[1][-1] for curve in losses] == [1.0, 2.5]
    assert "<td>0.5 (greatest 0.5 at 40)</td><td>0.3 (greatest 0.3 at 20)</td>" in text
    settings = text[text.index('<table id="settings">') :]
    assert "<td>lr</td><td>1</td><td>2</td>" in settings
    assert "model.x" not in settings


def test_mistakes_are_one_line(work_dirs, tmp_path, monkeypatch, capsys):
    monkeypatch.syspath_prepend(TOOL.parent)
    main = runpy.run_path(str(TOOL))["main"]
    out = ["--out", str(tmp_path / "page.html")]
    (tmp_path / "empty").mkdir()
    assert main(["--work-dir", str(tmp_path / "empty"), *out]) == 2
    assert "no TIME/vis_data/scalars.json in it" in capsys.readouterr().err
    assert main(out) == 2
    assert "give --gt-root and --results, or --work-dir" in capsys.readouterr().err
    write_log(tmp_path / "test", "20260101_000000", [{"mot/HOTA": 0.3, "step": 1}])
    assert main(["--work-dir", str(tmp_path / "test"), *out]) == 2
    assert "hold no training" in capsys.readouterr().err
