from datetime import timedelta
from pathlib import Path

import pytest
from mmengine.config import Config

from fairmot_mm.engine.runner import prepare_cpu_processes

CONFIG = Path(__file__).parents[2] / "configs/fairmot_dla34_mot17.py"


def test_processes_wait_for_hours_of_tracking_and_scoring(monkeypatch):
    given = {}
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    monkeypatch.setattr(
        "torch.distributed.init_process_group", lambda **kwargs: given.update(kwargs)
    )
    cfg = Config.fromfile(CONFIG)
    cfg.launcher = "pytorch"
    prepare_cpu_processes(cfg)
    assert given["timeout"] >= timedelta(hours=12)
    # MMEngine hands the same to NCCL.
    assert cfg.env_cfg.dist_cfg.timeout == given["timeout"].total_seconds()
    assert pytest.approx(cfg.env_cfg.dist_cfg.timeout) == 24 * 3600
