"""Every tool ends a mistake in its input in the same way."""

from pathlib import Path

import pytest
import torch
from test_train_and_test_tools import REPOSITORY, run_tool

from fairmot_mm.cli import COMMANDS


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("mistakes")
    (folder / "syntax.py").write_text("model = dict(\n")
    (folder / "text.pth").write_text("no checkpoint")
    torch.save({"state_dict": {"a": torch.zeros(1)}}, folder / "other.pth")
    (folder / "gt/A/gt").mkdir(parents=True)
    (folder / "gt/A/gt/gt.txt").write_text("1,1,10,10,40,80,1,1,1\n1,2,x\n")
    (folder / "results").mkdir()
    (folder / "results/A.txt").write_text("1,1,10,10,40,80,1,-1,-1,-1\n")
    (folder / "data/A/gt").mkdir(parents=True)
    (folder / "undefined.py").write_text("model = unheard_of\n")
    return folder


DEMO = "fairmot_dla34_demo"
NO_DATA = "train_dataloader.dataset.data_root=no/train"
MISTAKES = {
    "option": (["train", DEMO, "--foo"], "unrecognized arguments: --foo"),
    "no config": (["train", "fairmot_dla34_dem"], "did you mean fairmot_dla34_demo"),
    "config's syntax": (["train", "{0}/syntax.py"], "syntax.py:1: "),
    "config's code": (["train", "{0}/undefined.py"], "undefined.py: NameError: name"),
    "no config's suffix": (["train", "{0}/text.pth"], "text.pth: Only py/yml"),
    "misspelt key": (
        ["train", DEMO, "--cfg-options", "modle.neck.use_dcn=True"],
        "--cfg-options: no key modle in",
    ),
    "config's key": (
        ["train", DEMO, "--cfg-options", "train_dataloader.dataset.dta_root=x"],
        "dta_root",
    ),
    "text for a number": (
        [
            *("track", "no.mp4", DEMO, "{0}/no.pth", "--out", "t.txt"),
            *("--cfg-options", "model.tracker.obj_score_thr=high"),
        ],
        "obj_score_thr='high' of the tracker: expected a number",
    ),
    "no data": (
        ["train", DEMO, "--work-dir", "{0}/work", "--cfg-options", NO_DATA],
        "no/train",
    ),
    "no such component": (
        ["check", DEMO, "--cfg-options", "train_dataloader.dataset.type=MOTFolders"],
        "MOTFolders",
    ),
    "no video": (["track", "no.mp4", DEMO, "{0}/no.pth", "--out", "t.txt"], "no.pth"),
    "no checkpoint": (
        ["track", "no.mp4", DEMO, "{0}/text.pth", "--out", "t.txt"],
        "text.pth: no checkpoint",
    ),
    "other checkpoint": (
        ["track", "no.mp4", DEMO, "{0}/other.pth", "--out", "t.txt"],
        "other.pth: checkpoint of another",
    ),
    "no such device": (
        ["track", "no.mp4", DEMO, "{0}/no.pth", "--out", "t.txt", "--device", "gpu"],
        "--device gpu: no such device here",
    ),
    "no video's name": (
        ["track", "no.mp4", DEMO, "{0}/no.pth", "--show", "tracks.txt"],
        "--show tracks.txt: expected a name that ends in .mp4",
    ),
    "no file to write": (["track", "no.mp4", DEMO, "x"], "--out or --show"),
    "malformed ground truth": (
        ["eval", "--gt-root", "{0}/gt", "--results", "{0}/results"],
        "gt.txt:2",
    ),
    "no results": (["eval", "--gt-root", "{0}/gt", "--results", "{0}/no"], "no such"),
    "nothing to convert": (["convert", "{0}/text.pth", "{0}/out.pth"], "text.pth"),
    "nothing to convert back": (["convert-back", "{0}/no", "{0}/o"], "no checkpoint"),
    "bad size": (["synthesize", "{0}/syn", "--size", "wide"], "not WIDTHxHEIGHT"),
    "too few": (["synthesize", "{0}/syn", "--people", "-1"], "people"),
    "nothing to check": (["check", "nowhere"], "no config nowhere"),
    "nothing to browse": (["browse", DEMO, "--number", "0"], "--number is 0"),
    "no sequences": (["write-seqinfo", "{0}/no", "--frame-rate", "5"], "no folders"),
    "no runs": (["benchmark", "--runs", "0"], "--runs is 0, expected at least 1"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_one_line_and_status_2(mistake, files, tmp_path):
    (command, *arguments), expected = MISTAKES[mistake]
    tool = REPOSITORY / "tools" / COMMANDS[command]
    done = run_tool(tmp_path, tool, *(text.format(files) for text in arguments))
    assert done.code == 2, done.stderr
    # What else is there is the fork server's.
    lines = [line for line in done.stderr.splitlines() if "start method" not in line]
    (line,) = (line for line in lines if not line.startswith("  "))
    assert line.startswith("error: ")
    assert expected in line


def test_debug_shows_the_traceback(files, tmp_path):
    tool = REPOSITORY / "tools" / COMMANDS["eval"]
    done = run_tool(
        tmp_path, tool, "--gt-root", files / "no", "--results", files, "--debug"
    )
    assert done.code == 1
    assert "Traceback (most recent call last)" in done.stderr
    assert "no such folder of sequences" in done.stderr.splitlines()[-1]
