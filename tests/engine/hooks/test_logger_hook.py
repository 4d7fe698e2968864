import pytest

from fairmot_mm.engine.hooks import MasterLoggerHook, logger_hook
from fairmot_mm.registry import HOOKS


@pytest.mark.parametrize(("rank", "calls"), [(0, 1), (1, 0)])
def test_one_process_alone_writes_the_figures(monkeypatch, rank, calls):
    written = []
    monkeypatch.setattr("mmengine.dist.utils.get_rank", lambda group=None: rank)
    monkeypatch.setattr(
        logger_hook.LoggerHook, "after_test_epoch", lambda *_: written.append(rank)
    )
    HOOKS.build(dict(type="MasterLoggerHook")).after_test_epoch(None, {})
    assert len(written) == calls
    assert issubclass(MasterLoggerHook, logger_hook.LoggerHook)
