import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "tools" / "analysis_tools" / "eval_mot.py"
INI = "[Sequence]\nframeRate=30\nseqLength=3\nimWidth=640\nimHeight=480\n"


@pytest.fixture(scope="module")
def eval_mot():
    spec = importlib.util.spec_from_file_location("eval_mot", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def folders(tmp_path):
    """Two sequences of a person on three frames; one is tracked, on two of them."""
    gt_root, results = tmp_path / "train", tmp_path / "results"
    results.mkdir()
    for name in ("MOT17-90", "MOT17-91"):
        (gt_root / name / "gt").mkdir(parents=True)
        (gt_root / name / "seqinfo.ini").write_text(INI)
        lines = (f"{frame},1,10,10,40,80,1,1,1" for frame in (1, 2, 3))
        (gt_root / name / "gt" / "gt.txt").write_text("\n".join(lines))
    lines = (f"{frame},5,10,10,40,80,1,-1,-1,-1" for frame in (1, 2))
    (results / "MOT17-90.txt").write_text("\n".join(lines))
    return gt_root, results


def arguments(folders, *others):
    gt_root, results = folders
    return ["--gt-root", str(gt_root), "--results", str(results), *map(str, others)]


@pytest.mark.parametrize(("backend", "missed"), [("trackeval", 1), ("motmetrics", 0)])
def test_prints_a_table_and_writes_json(eval_mot, folders, capsys, backend, missed):
    out = folders[1] / "new" / "figures.json"
    options = ("--backend", backend, "--sequences", "MOT17-90", "--out", out)
    assert eval_mot.main(arguments(folders, *options)) == 0
    figures = json.loads(out.read_text())
    assert list(figures) == ["MOT17-90", "COMBINED"]
    assert figures["COMBINED"]["FN"] == missed
    assert figures["COMBINED"]["MOTA"] == pytest.approx(1 - missed / 3)
    assert ("HOTA" in figures["COMBINED"]) == (backend == "trackeval")
    assert "| COMBINED |" in capsys.readouterr().out


def test_all_sequences_by_default(eval_mot, folders, capsys):
    (folders[1] / "MOT17-91.txt").touch()
    assert eval_mot.main(arguments(folders)) == 0
    assert "| MOT17-91 |" in capsys.readouterr().out


@pytest.mark.parametrize("with_ini", [True, False])
def test_links_to_folders_of_one_name_are_both_scored(
    eval_mot, folders, tmp_path, capsys, with_ini
):
    gt_root, results = folders
    for name in ("MOT17-90", "MOT17-91"):
        target = tmp_path / "store" / name / "seq"
        target.parent.mkdir(parents=True)
        (gt_root / name).rename(target)
        (gt_root / name).symlink_to(target)
        if not with_ini:
            (target / "seqinfo.ini").unlink()
    said = "--sequences MOT17-90"
    assert eval_mot.main(arguments(folders)) == 2
    assert capsys.readouterr().err.endswith(f"{said}\n")
    assert eval_mot.main(arguments(folders, *said.split())) == 0
    (results / "MOT17-91.txt").touch()
    out = tmp_path / "figures.json"
    assert eval_mot.main(arguments(folders, "--out", out)) == 0
    figures = json.loads(out.read_text())
    # One of three boxes is missed in the first, all three in the second.
    assert [figures[name]["FN"] for name in ("MOT17-90", "MOT17-91")] == [1, 3]


def test_gt_root_may_be_a_lax_sequence(eval_mot, folders, tmp_path, monkeypatch):
    said = []
    monkeypatch.setattr(
        "mmengine.logging.print_log", lambda message, **_: said.append(message)
    )
    gt_root, results = folders
    sequence = gt_root / "MOT17-90"
    assert eval_mot.main(arguments((sequence, results))) == 0
    (sequence / "seqinfo.ini").unlink()
    (sequence / "gt" / "gt.txt").rename(sequence / "gt.txt")
    out = tmp_path / "figures.json"
    assert eval_mot.main(arguments((sequence, results), "--out", out)) == 0
    assert json.loads(out.read_text())["COMBINED"]["FN"] == 1
    assert said == [
        f"{sequence}: no seqinfo.ini; assumed to end on frame 3, the last one of gt.txt"
    ]


def test_errors_are_one_line_and_exit_code_2(eval_mot, folders, tmp_path, capsys):
    gt_root, results = folders
    empty = tmp_path / "empty"
    empty.mkdir()

    def error_of(*args):
        assert eval_mot.main(arguments(*args)) == 2
        line, nothing = capsys.readouterr().err.split("\n")
        assert line.startswith("error: ")
        assert nothing == ""
        return line

    assert (
        "no result file of MOT17-91; to score the others alone give --sequences "
        in (error_of(folders))
    )
    assert "no result file of MOT17-90, MOT17-91" in error_of((gt_root, empty))
    assert f"{empty}: no ground truth" in error_of((empty, results))
    assert "gone: no such folder of seq" in error_of((tmp_path / "gone", results))
    assert "gone: no such folder of res" in error_of((gt_root, tmp_path / "gone"))
    assert "no ground truth of X; there is MOT17-90, MOT17-91" in error_of(
        folders, "--sequences", "X"
    )
    assert f"{results / 'MOT17-91.txt'}: no such result file" in error_of(
        folders, "--sequences", "MOT17-91"
    )
    (results / "MOT17-90.txt").write_text("1,5,10,10,40\n")
    assert f"{results / 'MOT17-90.txt'}:1: 5 columns, expected at least 6" in error_of(
        folders, "--sequences", "MOT17-90"
    )


def test_a_row_for_each_class(eval_mot, folders, tmp_path, capsys):
    gt_root, results = folders
    person = "{frame},{identity},10,10,40,80,1,{number},1"
    for name in ("MOT17-90", "MOT17-91"):
        lines = (
            person.format(frame=frame, identity=number, number=number)
            for frame in (1, 2, 3)
            for number in (1, 3)
        )
        (gt_root / name / "gt" / "gt.txt").write_text("\n".join(lines))
        # Both people are found, the car once.
        lines = [person.format(frame=f, identity=1, number=1) for f in (1, 2, 3)]
        lines.append(person.format(frame=2, identity=2, number=3))
        (results / f"{name}.txt").write_text("\n".join(lines))
    out = tmp_path / "figures.json"
    options = ("--classes", "pedestrian", "car", "--out", out)
    assert eval_mot.main(arguments(folders, *options)) == 0
    figures = json.loads(out.read_text())
    assert [figures[name]["FN"] for name in figures] == [0, 4, 4, 4]
    assert figures["class_averaged"]["MOTA"] == pytest.approx((1 + 1 / 3) / 2)
    assert "| Class " in capsys.readouterr().out
    options = ("--class-names", "a", "b", "c", "--classes", "c", "--out", out)
    assert eval_mot.main(arguments(folders, *options)) == 0
    assert list(json.loads(out.read_text())) == [
        "c",
        "class_averaged",
        "detection_averaged",
    ]
    assert eval_mot.main(arguments(folders, "--classes", "bus")) == 2
    assert "no class 'bus', choose from pedestrian" in capsys.readouterr().err
    options = ("--class-names", "a", "--classes", "b")
    assert eval_mot.main(arguments(folders, *options)) == 2
    assert "--classes: no 'b' in --class-names a" in capsys.readouterr().err
    assert eval_mot.main(arguments(folders, "--class-names", "a")) == 2
    assert "--class-names needs --classes" in capsys.readouterr().err


def test_runs_as_a_script(folders):
    run = subprocess.run(
        [sys.executable, SCRIPT, *arguments(folders)], capture_output=True, text=True
    )
    assert run.returncode == 2
    assert "Traceback" not in run.stderr
    assert run.stderr.strip().splitlines()[-1].startswith("error: ")
