"""The report's page, in a headless browser where there is one."""

import json
import re
import runpy
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from browser import chromium

from fairmot_mm.evaluation import load_cases
from fairmot_mm.evaluation.trackeval_backend import evaluate
from fairmot_mm.formats.boxes import xywh_to_xyxy
from fairmot_mm.formats.detection_dumps import (
    DumpInfo,
    DumpWriter,
    FrameDetections,
)
from fairmot_mm.formats.mot import find_sequences, read_gt
from fairmot_mm.formats.mot_results import write_results
from fairmot_mm.synthetic import MIN_VISIBILITY

TOOL = Path(__file__).parents[2] / "tools/analysis_tools/report.py"
NAMES = ("SYN-00", "SYN-01")


def report(monkeypatch, *arguments) -> int:
    monkeypatch.syspath_prepend(TOOL.parent)
    return runpy.run_path(str(TOOL))["main"]([*map(str, arguments)])


@pytest.fixture(scope="module")
def results(tmp_path_factory, synthetic) -> Path:
    """Two runs: A loses somebody, changes an identity and sees a ghost; B does not."""
    home = tmp_path_factory.mktemp("results")
    for sequence in find_sequences(synthetic, NAMES):
        truth = read_gt(sequence)
        columns = (truth.frames, truth.ids, truth.boxes, np.full(len(truth), 0.9))
        rows = np.column_stack(columns)[truth.visibility >= MIN_VISIBILITY]
        write_results(home / "B" / f"{sequence.name}.txt", rows)
        ids, counts = np.unique(rows[:, 1], return_counts=True)
        one, other = ids[counts == sequence.length][:2]
        rows[(rows[:, 1] == one) & (rows[:, 0] > 3), 1] = 77
        lost = (rows[:, 1] == other) & (rows[:, 0] == 2)
        ghost = [[frame, 88, 1, 1, 4, 4, 0.5] for frame in (2, 3)]
        write_results(
            home / "A" / f"{sequence.name}.txt", np.vstack((rows[~lost], ghost))
        )
    return home


@pytest.fixture(scope="module")
def page(results, synthetic, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("page") / "report.html"
    folders = ("--results", results / "A", "--results", results / "B")
    with pytest.MonkeyPatch.context() as patch:
        arguments = ("--gt-root", synthetic, *folders, "--out", path)
        assert report(patch, *arguments, "--sequences", *NAMES) == 0
    return path


def stored(page: Path) -> dict:
    """The data in a page."""
    (text,) = re.findall(r'id="data">(.*?)</script>', page.read_text(), re.DOTALL)
    return json.loads(text)


def browse(page: Path, script: str, folder: Path) -> str:
    """The page as a browser has it after a script ran in it."""
    copy = page.with_name("scripted.html")
    text = page.read_text().replace("</body>", f"<script>{script}</script></body>")
    copy.write_text(text)
    command = [*chromium(folder), "--virtual-time-budget=3000"]
    done = subprocess.run(
        [*command, "--dump-dom", copy.as_uri()],
        capture_output=True,
        text=True,
        timeout=200,
        check=True,
    )
    return done.stdout


def test_page_holds_the_figures_and_the_errors(page, results, synthetic):
    data = stored(page)
    sequences = find_sequences(synthetic, NAMES)
    figures = evaluate(load_cases(sequences, results / "A"))
    kinds = [(e["sequence"], e["kind"]) for e in data["errors"] if e["run"] == 0]
    for name in NAMES:
        assert kinds.count((name, "switch")) == figures[name]["IDSW"] == 1
        assert kinds.count((name, "broken")) == figures[name]["Frag"] == 1
        assert kinds.count((name, "false alarm")) == 1
    assert not [e for e in data["errors"] if e["run"] == 1]
    assert all(error["single"] for error in data["errors"])
    costs = [error["cost"] for error in data["errors"]]
    assert costs == sorted(costs, reverse=True)
    (switch,) = (
        e for e in data["errors"] if e["kind"] == "switch" and e["sequence"] == NAMES[0]
    )
    assert "to 77 at once" in switch["text"]
    before, after = switch["pictures"]
    assert [before[0], after[0]] == ["before: frame 3", "after: frame 4"]
    assert (page.parent / after[1]).resolve().name == "000004.jpg"
    assert (page.parent / after[1]).is_file()
    assert after[2].startswith("UklGR")  # a WebP file
    stretches = data["runs"][0]["timelines"][NAMES[0]]["stretches"]
    assert [77, 4, 6] in [stretch[1:] for stretch in stretches]
    text = page.read_text()
    assert not re.search(r'<(script|link|img)[^>]+(src|href)="?http', text)


def test_page_in_a_browser(page, results, synthetic, tmp_path):
    script = """
    const first = document.querySelector("#errors details");
    first.open = true; first.dispatchEvent(new Event("toggle"));
    const report = (key, value) => document.body.setAttribute("data-" + key, value);
    report("opened", first.querySelectorAll("img").length);
    first.querySelector("img").decode().then(() => report("decoded", "yes"));
    report("all", document.querySelectorAll("#errors details").length);
    const kind = document.getElementById("kind");
    kind.value = "switch"; kind.dispatchEvent(new Event("input"));
    report("switches", document.querySelectorAll("#errors details").length);
    document.getElementById("sequence").value = "SYN-00";
    kind.dispatchEvent(new Event("input"));
    report("switches-of-one", document.querySelectorAll("#errors details").length);
    document.getElementById("height-from").value = "100000";
    kind.dispatchEvent(new Event("input"));
    report("none", document.querySelectorAll("#errors details").length);
    document.getElementById("clear").click();
    report("cleared", document.querySelectorAll("#errors details").length);
    """
    dom = browse(page, script, tmp_path)

    def value(key: str) -> str:
        return re.search(rf'data-{key}="([^"]*)"', dom)[1]

    assert int(value("opened")) == 2
    assert value("decoded") == "yes"
    shown = [
        value(k) for k in ("all", "switches", "switches-of-one", "none", "cleared")
    ]
    assert shown == ["6", "2", "1", "0", "6"]
    assert dom.count('class="main-svg"') >= 2  # Plotly drew
    for letter in "AB":
        cases = load_cases(find_sequences(synthetic, NAMES), results / letter)
        for sequence, figures in evaluate(cases).items():
            for figure in ("HOTA", "MOTA", "IDF1"):
                cell = (
                    f'data-sequence="{sequence}" data-run="{letter}" '
                    f'data-figure="{figure}" class="">{100 * figures[figure]:.1f}<'
                )
                assert cell in dom


def test_dumps_tell_misses_of_the_network(results, synthetic, tmp_path, monkeypatch):
    for sequence in find_sequences(synthetic, NAMES):
        truth = read_gt(sequence)
        info = DumpInfo(sequence.name, 1, 1, 30.0)
        writer = DumpWriter(tmp_path / "dumps", info)
        for frame in range(1, sequence.length + 1):
            boxes = xywh_to_xyxy(truth.boxes[truth.frames == frame])
            scores = np.full(len(boxes), 0.21)
            nothing = np.zeros(len(boxes)), np.empty((len(boxes), 0))
            found = FrameDetections(boxes, scores, *nothing)
            writer.write(found.as_written(0.05))
        writer.close()
    out = tmp_path / "report.html"
    dumps = ("--detections", tmp_path / "dumps", "--no-pictures")
    twice = ("--results", results / "A", results / "A")
    arguments = ("--gt-root", synthetic, *twice, *dumps)
    sequences = ("--sequences", *NAMES, "--out", out)
    assert report(monkeypatch, *arguments, *sequences) == 0
    errors = stored(out)["errors"]
    assert not any(error["single"] for error in errors)  # both have them all
    broken = [error for error in errors if error["kind"] == "broken"]
    assert len(broken) == 4
    assert "Detected on 1 of 1 frames, scores around 0.21" in broken[0]["remedy"]
    assert "test_evaluator.max_gap=1" in broken[0]["remedy"]


def test_mistakes_are_one_line(results, synthetic, tmp_path, monkeypatch, capsys):
    def error(*arguments) -> str:
        capsys.readouterr()
        out = ("--out", tmp_path / "report.html")
        assert report(monkeypatch, "--gt-root", synthetic, *arguments, *out) == 2
        return capsys.readouterr().err.strip().splitlines()[-1]

    folder = results / "A"
    assert "no result file of SYN-02" in error("--results", folder)
    both = ("--sequences", *NAMES)
    three = ("--results", folder, folder, folder)
    assert "3 folders, expected one or two" in error(*three, *both)
    frames = tmp_path / "frames"
    shutil.copytree(synthetic / "SYN-00", frames / "SYN-00")
    (frames / "SYN-00/img1/000002.jpg").unlink()
    arguments = ("--gt-root", frames, "--results", folder)
    assert "000002.jpg: missing" in error(*arguments)
