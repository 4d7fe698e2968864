"""Mistakes on the command line are one line, found before any worker starts."""

import builtins
import re
import runpy
from pathlib import Path

import pytest

from fairmot_mm.synthetic import make_sequence

pytest.importorskip("ray")
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def main():
    return runpy.run_path(str(ROOT / "tools/archive.py"))["main"]


@pytest.fixture
def videos(tmp_path):
    (tmp_path / "rec").mkdir()
    (tmp_path / "empty").mkdir()
    (tmp_path / "rec/a.mp4").write_bytes(b"looked at later")
    return tmp_path / "rec"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["gone", "--out", "o"], "gone: no such folder, list or video"),
        (["empty", "--out", "o"], "empty: no video in it"),
        (["rec"], "required: --out"),
        (["rec", "no_config", "x.pth", "--out", "o"], "no config no_config"),
        (["rec", "fairmot_dla34_mot17", "--out", "o"], "a checkpoint is missing"),
        (["rec", "fairmot_dla34_mot17", "x.pth", "--out", "o"], "no checkpoint at x.p"),
        (
            ["rec", "fairmot_dla34_mot17", "--model", "m", "--out", "o"],
            "brings its own",
        ),
        (["rec", "--model", "m.xml", "--out", "o"], "m.xml"),
        (["rec", "--out", "rec/a.mp4"], "rec/a.mp4: "),
        (["rec", "--out", "o", "--piece", "0"], "--piece 0: expected minutes above 0"),
        (["rec", "--out", "o", "--overlap", "400"], "--overlap 400: .* at most half"),
        (["rec", "--out", "o", "--every", "0"], "--every 0: expected 1 or more"),
        (["rec", "--out", "o", "--batch", "0"], "--batch 0: expected 1 or more"),
        (["rec", "--out", "o", "--workers", "-1"], "--workers -1: expected 1 or more"),
        (["rec", "--out", "o", "--workers", "x"], "--workers: invalid int"),
        (["rec", "--out", "o", "--device", "tpu"], "--device: invalid choice"),
        (["rec", "--out", "o", "--cfg-options", "model"], "expected KEY=VALUE"),
        (["s4://a/b", "--out", "o"], "s4://a/b: Protocol not known"),
    ],
)
def test_mistakes(main, videos, monkeypatch, capsys, arguments, message):
    monkeypatch.chdir(videos.parent)
    try:
        status = main(arguments)
    except SystemExit as error:
        status = error.code
    assert status == 2
    *_, line = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ")
    assert re.search(message, line), line


def test_ray_is_an_extra(main, videos, monkeypatch, capsys, tmp_path):
    real = builtins.__import__

    def without_ray(name, *args, **kwargs):
        if name == "ray":
            raise ModuleNotFoundError("No module named 'ray'", name="ray")
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without_ray)
    assert main([str(videos), "--out", str(tmp_path / "out")]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ")
    assert "archives need Ray: pip install 'fairmot_mm[archive]'" in line
    assert not (tmp_path / "out").exists()


def test_questions_of_the_docs(tmp_path):
    """Each SQL block of docs/archives.md runs, on a data set of two cameras."""
    duckdb = pytest.importorskip("duckdb")
    from datetime import UTC, datetime

    import numpy as np

    from fairmot_mm.archive.results import ResultWriter
    from fairmot_mm.archive.rows import TrackRows
    from fairmot_mm.archive.videos import Video
    from fairmot_mm.formats.mot import read_gt, read_sequence

    for number, camera in enumerate(("door", "yard")):
        folder = make_sequence(
            tmp_path / "data",
            camera,
            num_frames=20,
            num_people=4,
            size=(192, 128),
            seed=number,
        )
        truth = read_gt(read_sequence(folder))
        truth = truth.select(np.lexsort((truth.ids, truth.frames)))
        count = len(truth)
        rows = TrackRows(
            truth.frames,
            60.0 * truth.frames,
            truth.ids,
            np.zeros(count, np.int64),
            truth.boxes.astype(np.float32),
            np.ones(count, np.float32),
            np.eye(8, dtype=np.float16)[truth.ids % 8],
        )
        writer = ResultWriter(
            tmp_path / "results",
            Video(f"{camera}/a.mp4", "a.mp4", camera),
            datetime(2026, 11, 27, 23, 50, tzinfo=UTC),
            ["person"],
            with_embeddings=True,
        )
        writer.write(rows)
        writer.finish()
    text = (ROOT / "docs/archives.md").read_text()
    queries = re.findall(r"```sql\n(.*?)```", text, re.DOTALL)
    assert len(queries) >= 4
    database = duckdb.connect()
    results = []
    for query in queries:
        query = query.replace("'results/", f"'{tmp_path}/results/")
        for statement in filter(str.strip, query.split(";")):
            found = database.execute(statement)
            results.append(found.fetchall())
    assert sum(map(bool, results)) >= 4
