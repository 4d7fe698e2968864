"""Every tool refuses checkpoints with code hidden in them, unless it may trust them."""

import functools
import http.server
import os
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from test_train_and_test_tools import REPOSITORY, Command, run_tool

from fairmot_mm.cli import COMMANDS
from fairmot_mm.registry import MODELS

sys.path.insert(0, str(REPOSITORY / "tools/robustness"))

from training_kills import CONFIG

IDENTITIES = 4


class Hostile:
    """Makes a folder when it is unpickled."""

    def __init__(self, folder: Path) -> None:
        self.folder = str(folder)

    def __reduce__(self):
        return os.makedirs, (self.folder, 0o777, True)


@pytest.fixture
def config(tmp_path, synthetic) -> Path:
    path = tmp_path / "small.py"
    text = CONFIG.format(configs=REPOSITORY / "configs", data=synthetic, epochs=1)
    path.write_text(text)
    return path


@pytest.fixture
def hostile(tmp_path, config) -> Path:
    """A checkpoint that fits the config, and hides code."""
    cfg = Config.fromfile(config)
    cfg.model.reid_head.num_ids = IDENTITIES
    path = tmp_path / f"{tmp_path.name}.pth"
    state = MODELS.build(cfg.model).state_dict()
    torch.save(dict(state_dict=state, hidden=Hostile(tmp_path / "harm")), path)
    return path


@pytest.fixture
def url(hostile, tmp_path) -> Iterator[str]:
    """Where a server on this machine has that checkpoint."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    handler = functools.partial(Quiet, directory=str(tmp_path))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}/{hostile.name}"
        server.shutdown()


@pytest.fixture
def run(config, synthetic, tmp_path):
    """Run a command on a checkpoint."""

    def start(command, checkpoint, *options):
        work = "--work-dir", tmp_path / "work"
        load_from = "--cfg-options", f"load_from={checkpoint}"
        images = synthetic / "SYN-00/img1"
        name, *arguments = {
            "train": ("train", config, *work, *load_from),
            "resume": ("train", config, *work, "--resume", checkpoint),
            "test": ("test", config, checkpoint, *work, "--format-only"),
            "track": ("track", images, config, checkpoint, "--out", tmp_path / "t.txt"),
            "convert": ("convert", checkpoint, tmp_path / "out.pth"),
            "convert-back": ("convert-back", checkpoint, tmp_path / "out.pth"),
        }[command]
        tool = REPOSITORY / "tools" / COMMANDS[name]
        arguments = tool, *arguments, *options
        output = tmp_path / "output"
        if "://" not in str(checkpoint):
            return run_tool(output, *arguments)
        # A process of its own, whose downloads go elsewhere than the user's.
        cache = str(tmp_path / "cache")
        process = Command.start(output, sys.executable, *arguments, TORCH_HOME=cache)
        return process.finish()

    return start


def check_refused(outcome, hostile):
    (line,) = (x for x in outcome.stderr.splitlines() if x.startswith("error: "))
    assert outcome.code == 2
    assert "Traceback" not in outcome.stderr
    assert f"{hostile.name}: no checkpoint of tensors and plain values" in line
    assert "can run any code" in line
    assert "--trust-checkpoint" in line
    assert not (hostile.parent / "harm").exists()


@pytest.mark.parametrize(
    "command", ["train", "resume", "test", "track", "convert", "convert-back"]
)
def test_hidden_code_is_refused_and_not_run(run, hostile, command):
    check_refused(run(command, hostile), hostile)


@pytest.mark.parametrize("command", ["train", "test", "track"])
def test_a_trusted_file_is_loaded(run, hostile, command):
    outcome = run(command, hostile, "--trust-checkpoint")
    assert outcome.code == 0, outcome.stderr
    assert (hostile.parent / "harm").is_dir()


def test_a_trusted_file_is_converted(run, tmp_path, published_state):
    path = tmp_path / "published.pth"
    state = published_state({})
    torch.save(dict(state_dict=state, hidden=Hostile(tmp_path / "harm")), path)
    outcome = run("convert", path, "--trust-checkpoint")
    assert outcome.code == 0, outcome.stderr
    assert (tmp_path / "harm").is_dir()


@pytest.mark.parametrize("command", ["train", "test", "convert"])
def test_a_file_at_a_url_is_checked_as_well(run, url, hostile, command):
    check_refused(run(command, url), hostile)


def test_a_trusted_file_at_a_url_is_loaded(run, url, hostile):
    outcome = run("train", url, "--trust-checkpoint")
    assert outcome.code == 0, outcome.stderr
    assert (hostile.parent / "harm").is_dir()


def test_a_url_that_has_no_file_is_named(run, url):
    outcome = run("test", f"{url}.no")
    assert outcome.code == 2
    message = f"cannot download the checkpoint {url}.no: HTTP Error 404"
    assert outcome.stderr.splitlines()[-1].startswith(f"error: {message}")
