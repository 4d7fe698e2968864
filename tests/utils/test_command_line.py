import subprocess
import sys
from pathlib import Path

import pytest

from fairmot_mm.utils.command_line import Parser, command, find_config, running


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("my data/MOT 17", "my data/MOT 17"),
        ("'my data'", "my data"),
        ("data/MOT17", "data/MOT17"),
        ("(1, 2)", (1, 2)),
        ("a, b", ["a", "b"]),
        ("0.5", 0.5),
        ("None", None),
    ],
)
def test_settings_keep_their_blanks(text, value):
    parser = Parser(None)
    parser.add_config()
    settings = ["a=1", f"data.root={text}"]
    args = parser.parse_args(["config.py", "--cfg-options", *settings])
    assert args.cfg_options == {"a": 1, "data.root": value}


def test_a_setting_without_a_value_is_named(capsys):
    parser = Parser(None)
    parser.add_config()
    with pytest.raises(SystemExit, match="2"):
        parser.parse_args(["config.py", "--cfg-options", "data.root"])
    error = "error: --cfg-options data.root: expected KEY=VALUE\n"
    assert capsys.readouterr().err == error


def test_configs_by_name(tmp_path):
    file = tmp_path / "mine.py"
    file.touch()
    assert find_config(str(file)) == str(file)
    assert find_config("fairmot_dla34_mot17").endswith("configs/fairmot_dla34_mot17.py")
    assert find_config("mmtrack/fairmot_dla34_mot17").endswith(
        "configs/mmtrack/fairmot_dla34_mot17.py"
    )
    with pytest.raises(FileNotFoundError, match=r"did you mean fairmot_dla34_mot17"):
        find_config("fairmot_dla34_mto17")
    with pytest.raises(FileNotFoundError, match=r"did you mean fairmot_dla34_mot17"):
        find_config("configs/fairmot_dla34_mot17.py.old")
    with pytest.raises(FileNotFoundError, match=r"nor a packaged config$"):
        find_config("zzz")


def fail(error: BaseException, *options: str) -> int:
    @command(lambda: Parser(None))
    def main(args) -> None:
        raise error

    return main(options)


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (ValueError("a.txt:3: x is\n  no number"), "a.txt:3: x is no number"),
        (KeyError("no FairMOTT"), "KeyError: no FairMOTT (--debug shows where)"),
        (AssertionError(), "AssertionError: (--debug shows where)"),
    ],
)
def test_an_error_is_one_line(error, line, capsys):
    assert fail(error) == 2
    assert capsys.readouterr().err == f"error: {line}\n"
    with pytest.raises(type(error)):
        fail(error, "--debug")


def test_ctrl_c_is_no_error(capsys):
    assert fail(KeyboardInterrupt()) == 130
    assert capsys.readouterr().err == "interrupted\n"


def run_long(work) -> int:
    @command(lambda: Parser(None))
    def main(args) -> None:
        with running():
            work()

    return main([])


def build_dataset(**settings) -> None:
    raise TypeError("unexpected keyword 'rooot'")


def test_what_fails_after_hours_keeps_its_traceback(capsys):
    def defect() -> None:
        raise IndexError("out of range")

    with pytest.raises(SystemExit, match="1"):
        run_long(defect)
    error = capsys.readouterr().err
    assert "in defect" in error
    assert error.endswith("IndexError: out of range\n")


def test_input_that_fails_late_is_one_line_still(capsys):
    def missing_image() -> None:
        Path("/nowhere/1.jpg").read_bytes()

    # As PyTorch hands on what happened in a data loader's worker.
    worker = (
        "Caught ValueError in DataLoader worker process 0.\n"
        "Original Traceback (most recent call last):\n"
        f'  File "{find_config.__code__.co_filename}", line 7, in check\n'
        "    raise ValueError(\nValueError: 1.jpg is broken"
    )

    def broken_image() -> None:
        raise ValueError(worker)

    for work, line in (
        (missing_image, "/nowhere/1.jpg: No such file or directory"),
        (broken_image, "1.jpg is broken"),
        (
            lambda: build_dataset(rooot=1),
            "TypeError: unexpected keyword 'rooot' (--debug shows where)",
        ),
        (
            lambda: find_config("zzz"),
            "no config zzz: neither a file nor a packaged config",
        ),
    ):
        assert run_long(work) == 2
        assert capsys.readouterr().err == f"error: {line}\n"


def test_output_that_nobody_reads_ends_quietly():
    command = [sys.executable, "-m", "fairmot_mm.cli", "--help"]
    with subprocess.Popen(command, stdout=-1, stderr=-1, text=True) as process:
        process.stdout.close()
        assert process.stderr.read() == ""
    assert process.returncode == 141
