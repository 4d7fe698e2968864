import pytest

from fairmot_mm.models import JDETracker
from fairmot_mm.structures import frame_rate
from fairmot_mm.structures.frame_rate import usable_frame_rate


@pytest.mark.parametrize(
    "rate", [1000, 90000, 180000, 480.1, float("nan"), float("inf"), 0, None, -25]
)
def test_rates_that_no_camera_has_are_taken_for_30(rate, monkeypatch):
    said = []
    monkeypatch.setattr(
        frame_rate, "print_log", lambda message, **_: said.append(message)
    )
    assert usable_frame_rate(rate, "camera 1") == 30
    assert said == [
        f"camera 1: frame rate {rate}, expected 0.01 to 480 per second; 30 is assumed"
    ]
    tracker = JDETracker(num_frames_retain=20)
    tracker.reset(rate)
    assert tracker.max_frames_lost == 20
    assert said[1].startswith("JDETracker: ")


@pytest.mark.parametrize("rate", [0.01, 1, 7.5, 29.97, 60, 239.76, 480])
def test_other_rates_are_taken_as_they_are(rate):
    assert usable_frame_rate(rate, "camera 1") == rate
