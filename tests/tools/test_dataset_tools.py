"""check_dataset.py and browse_dataset.py as a user runs them."""

import runpy

import cv2
import numpy as np
import pytest
from test_train_and_test_tools import REPOSITORY

FOLDER = REPOSITORY / "tools" / "analysis_tools"
CONFIG = """
_base_ = {base!r}
letterbox = dict(type="Letterbox", size=(96, 64))
train_dataloader = dict(
    dataset=dict(
        data_root={data!r},
        detector=None,
        pipeline=[
            dict(type="CheckedLoadImageFromFile"),
            letterbox,
            dict(type="PackTrackTrainInputs"),
        ],
    )
)
"""


@pytest.fixture
def config(tmp_path, synthetic):
    base = str(REPOSITORY / "configs" / "fairmot_dla34_mot17.py")
    path = tmp_path / "config.py"
    path.write_text(CONFIG.format(base=base, data=str(synthetic)))
    return path


def run(name: str, *arguments) -> int:
    main = runpy.run_path(str(FOLDER / f"{name}.py"))["main"]
    return main([str(argument) for argument in arguments])


def test_check_says_by_its_exit_code_what_it_found(config, tmp_path, synthetic, capsys):
    code = run("check_dataset", config, "--allow", "gap", "box outside the image")
    out = capsys.readouterr().out
    assert code == 0, out
    assert "no annotation errors" in out
    assert f"{synthetic}: 15 images" in out

    import shutil

    broken = tmp_path / "broken"
    shutil.copytree(synthetic, broken)
    (broken / "SYN-01/img1/000002.jpg").write_bytes(b"no image")
    option = f"train_dataloader.dataset.data_root={broken}"
    arguments = config, "--cfg-options", option
    assert run("check_dataset", *arguments, "--allow", "gap") == 1
    out = capsys.readouterr().out
    assert f"{broken}/SYN-01/img1/000002.jpg: cannot be decoded" in out
    assert "1 annotation errors" in out
    allowed = "--allow", "gap", "broken image"
    assert run("check_dataset", *arguments, *allowed) == 0
    assert "allowed" in capsys.readouterr().out


def test_check_needs_a_config(tmp_path, capsys):
    assert run("check_dataset", tmp_path / "nowhere.py") == 2
    assert "nowhere.py" in capsys.readouterr().err


def test_browse_draws_boxes_and_heatmap(config, tmp_path, synthetic):
    out = tmp_path / "drawings"
    assert run("browse_dataset", config, "--out", out, "--number", 3) == 0
    names = sorted(path.name for path in out.iterdir())
    assert names == ["000000.jpg", "000007.jpg", "000014.jpg"]
    drawing = cv2.imread(str(out / "000000.jpg")).astype(int)
    assert drawing.shape == (64, 96, 3)
    # People of the sequence have red centres.
    redness = drawing[..., 2] - drawing[..., :2].max(axis=2)
    assert (redness > 100).any()


def test_browse_makes_one_sheet(config, tmp_path):
    out = tmp_path / "drawings"
    arguments = config, "--out", out, "--number", 4, "--sheet", "--shuffle"
    assert run("browse_dataset", *arguments) == 0
    (path,) = out.iterdir()
    sheet = cv2.imread(str(path))
    assert sheet.shape == (1280, 1920, 3)
    quarter = sheet[:640, :960].astype(int)
    assert np.abs(quarter - sheet[640:, 960:]).mean() > 1


def test_browse_names_what_is_missing(config, tmp_path, capsys):
    option = f"train_dataloader.dataset.data_root={tmp_path / 'nowhere'}"
    assert run("browse_dataset", config, "--cfg-options", option) == 2
    assert "nowhere" in capsys.readouterr().err


def test_seqinfo_of_a_folder_that_has_none(tmp_path, synthetic, capsys):
    import shutil

    root = tmp_path / "MOT15"
    shutil.copytree(synthetic, root)
    expected = (root / "SYN-00/seqinfo.ini").read_text()
    (root / "SYN-00/seqinfo.ini").unlink()
    path = REPOSITORY / "tools/dataset_converters/write_seqinfo.py"
    main = runpy.run_path(str(path))["main"]
    assert main([str(root), "--frame-rate", "25"]) == 0
    assert capsys.readouterr().out.count("written") == 1
    from fairmot_mm.formats.mot import read_sequence

    found = read_sequence(root / "SYN-00")
    (root / "SYN-00/seqinfo.ini").write_text(expected)
    original = read_sequence(root / "SYN-00")
    for name in ("name", "length", "width", "height", "extension", "image_dir"):
        assert getattr(found, name) == getattr(original, name)
    assert found.frame_rate == 25
    assert main([str(tmp_path / "nowhere"), "--frame-rate", "25"]) == 2
    # A link is called by its own name.
    (root / "SYN-01/seqinfo.ini").unlink()
    (tmp_path / "links").mkdir()
    (tmp_path / "links/walk").symlink_to(root / "SYN-01")
    assert main([str(tmp_path / "links"), "--frame-rate", "25"]) == 0
    assert read_sequence(root / "SYN-01").name == "walk"
