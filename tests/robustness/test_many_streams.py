import argparse
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "tools/robustness"))

import many_streams


def test_cameras_that_fail_are_tracked_on(monkeypatch):
    """A short version of tools/robustness/many_streams.py."""
    monkeypatch.setattr(many_streams, "BURST", 150)
    monkeypatch.setattr(many_streams, "INTERVAL", 100)
    args = argparse.Namespace(frames=300, streams=2, speed=4)
    rows = many_streams.run(args)  # raises if a stream or a thread is left
    assert len(rows) >= 3


def test_what_is_left_over_is_refused():
    with pytest.raises(RuntimeError, match="camera was lost: broken"):
        lost = argparse.Namespace(
            num_frames=1, num_dropped=0, num_losses=1, error=OSError("broken")
        )
        many_streams.check(dict(camera=lost), (set(), 0))
