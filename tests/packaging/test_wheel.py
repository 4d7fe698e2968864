"""A wheel is built, installed and used from an empty folder."""

import os
import subprocess
import sys
from pathlib import Path
from zipfile import ZipFile

import modelindex
import pytest

from fairmot_mm.utils.command_line import CONFIGS
from fairmot_mm.version import __version__

REPOSITORY = Path(__file__).parents[2]


def run(*command: object, cwd: Path, **environment: str) -> str:
    done = subprocess.run(
        [*map(str, command)],
        cwd=cwd,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    """Built from a source distribution, so that this one is complete, too."""
    out = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "build", "--no-isolation", "-o", out, cwd=REPOSITORY)
    (path,) = out.glob("fairmot_mm-*.whl")
    return path


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory) -> Path:
    """The wheel in a folder of its own, before the checkout on the path."""
    target = tmp_path_factory.mktemp("site")
    pip = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-index"]
    run(*pip, "--target", target, wheel, cwd=target)
    return target


def test_carries_configs_and_tools(wheel):
    names = set(ZipFile(wheel).namelist())
    for folder, pattern in (("configs", "*.py"), ("tools", "*.py")):
        for path in (REPOSITORY / folder).rglob(pattern):
            name = path.relative_to(REPOSITORY).as_posix()
            assert f"fairmot_mm/.mim/{name}" in names
    assert {"fairmot_mm/.mim/model-index.yml", "fairmot_mm/py.typed"} <= names
    assert not [name for name in names if name.startswith("tests/")]


def test_works_in_an_empty_folder(installed, tmp_path):
    def fairmot(*arguments: object) -> str:
        path = os.pathsep.join(filter(None, (str(installed), os.getenv("PYTHONPATH"))))
        program = installed / "bin" / "fairmot"
        return run(sys.executable, program, *arguments, cwd=tmp_path, PYTHONPATH=path)

    assert fairmot("--version") == f"fairmot_mm {__version__}\n"
    size = ["--size", "128x96", "--people", 3, "--frames", 2]
    fairmot("synthesize", "data", "--train", 1, "--test", 0, *size)
    settings = ["train_dataloader.dataset.data_root=data/train"]
    options = ["--allow", "gap", "box outside the image", "--cfg-options", *settings]
    assert "2 images" in fairmot("check", "fairmot_dla34_demo", *options)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data"]


def test_model_index_names_every_config():
    index = modelindex.load(str(REPOSITORY / "model-index.yml"))
    found = {model.config for model in index.models}
    paths = (path for path in CONFIGS.rglob("*.py") if path.parent.name != "_base_")
    assert found == {f"configs/{p.relative_to(CONFIGS).as_posix()}" for p in paths}


def test_the_changelog_begins_with_this_version():
    lines = (REPOSITORY / "CHANGELOG.md").read_text().splitlines()
    titles = [line for line in lines if line.startswith("## ")]
    assert titles[0] == "## Unreleased"
    assert titles[1].startswith(f"## {__version__}")
