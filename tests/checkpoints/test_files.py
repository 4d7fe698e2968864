"""Checkpoint files: no code of them runs, damage is found, writing is atomic."""

import builtins
import os
from collections import OrderedDict

import numpy as np
import pytest
import torch
from mmengine.logging import HistoryBuffer

from fairmot_mm.checkpoints.files import (
    find_damage,
    read_checkpoint,
    write_checkpoint,
)


class Hostile:
    """Calls a function when it is unpickled."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


@pytest.fixture
def training_checkpoint() -> dict:
    """What MMEngine's runner writes."""
    history = HistoryBuffer([np.float64(0.5), 0.25], [1, 1])
    return dict(
        meta=dict(epoch=1, iter=3, dataset_meta=dict(identities=(4, 12345))),
        state_dict=OrderedDict(weight=torch.arange(3.0)),
        message_hub=dict(
            log_scalars=OrderedDict(loss=history),
            runtime_info=OrderedDict(best=np.float32(0.5), count=np.int64(3)),
        ),
        optimizer=dict(state={0: dict(step=torch.tensor(3.0))}),
    )


def test_what_the_runner_writes_is_read(tmp_path, training_checkpoint):
    path = tmp_path / "epoch_1.pth"
    write_checkpoint(training_checkpoint, path)
    read = read_checkpoint(path)
    assert torch.equal(read["state_dict"]["weight"], torch.arange(3.0))
    history = read["message_hub"]["log_scalars"]["loss"]
    assert history.statistics("mean") == 0.375
    assert read["message_hub"]["runtime_info"]["count"] == 3
    assert read["meta"] == training_checkpoint["meta"]


@pytest.mark.parametrize("harm", ["a function", "through MMEngine's getattr"])
def test_hidden_code_is_not_run(tmp_path, training_checkpoint, harm):
    folder, path = tmp_path / "harm", tmp_path / "epoch_1.pth"
    training_checkpoint["optimizer"] = (
        Hostile(os.mkdir, str(folder))
        if harm == "a function"
        else Hostile(builtins.getattr, HistoryBuffer, "__init__")
    )
    torch.save(training_checkpoint, path)
    with pytest.raises(
        ValueError,
        match=r"epoch_1\.pth: .*refers to .*run any code.*--trust-checkpoint",
    ):
        read_checkpoint(path)
    assert not folder.exists()
    read_checkpoint(path, trusted=True)
    assert folder.is_dir() == (harm == "a function")


def test_a_flipped_bit_is_found_wherever_it_changes_a_weight(tmp_path):
    path = tmp_path / "epoch_1.pth"
    weights = torch.rand(64)
    write_checkpoint(dict(state_dict=dict(weight=weights)), path)
    content = path.read_bytes()
    assert find_damage(path) is None
    for place in range(0, len(content), 7):
        changed = bytearray(content)
        changed[place] ^= 1 << (place % 8)
        path.write_bytes(changed)
        try:
            read = read_checkpoint(path)
        except ValueError as error:
            assert str(path) in str(error)
        else:
            assert torch.equal(read["state_dict"]["weight"], weights)


def test_a_file_that_ends_early_is_damaged(tmp_path):
    path = tmp_path / "epoch_1.pth"
    write_checkpoint(dict(state_dict=dict(weight=torch.rand(64))), path)
    content = path.read_bytes()
    for length in range(0, len(content), 97):
        path.write_bytes(content[:length])
        with pytest.raises(ValueError, match=r"epoch_1\.pth: no checkpoint"):
            read_checkpoint(path)


def test_files_of_old_pytorch_are_read(tmp_path):
    path = tmp_path / "old.pth"
    state = dict(weight=torch.rand(4))
    torch.save(state, path, _use_new_zipfile_serialization=False)
    assert torch.equal(read_checkpoint(path)["weight"], state["weight"])
