import pytest

from fairmot_mm.streams.clock import StreamClock


def times(timestamps, live=True, wait=0.1):
    clock = StreamClock(0.1, live)
    return [clock.tick(t, wait * i) for i, t in enumerate(timestamps)]


def test_timestamps_count_from_the_first():
    assert times([7.0, 7.1, 7.5]) == pytest.approx([0, 0.1, 0.5])


def test_without_timestamps_frames_follow_at_the_frame_rate():
    assert times([None] * 3) == pytest.approx([0, 0.1, 0.2])


def test_after_a_jump_timestamps_count_on():
    assert times([7.0, 7.1, 2.0, 2.3]) == pytest.approx([0, 0.1, 0.2, 0.5])
    assert times([7.0, 7.1, 99.0, 99.3]) == pytest.approx([0, 0.1, 0.2, 0.5])


def test_a_gap_in_a_recording_and_a_wait_are_no_jump():
    assert times([7.0, 7.1, 99.0], live=False) == pytest.approx([0, 0.1, 92])
    assert times([7.0, 67.0, 127.0], wait=60) == pytest.approx([0, 60, 120])


def test_frames_out_of_order_do_not_move_those_after_them():
    found = times([0, 0.3, 0.1, 0.2, 0.7])
    assert found == pytest.approx([0, 0.3, 0.4, 0.5, 0.7])


def test_repeated_timestamps_still_rise():
    found = times([1.0] * 4)
    assert found == pytest.approx([0, 0.1, 0.2, 0.3])


def test_a_restart_takes_as_long_as_it_took():
    clock = StreamClock(0.1, live=True)
    clock.tick(5, 0)
    clock.restart()
    assert clock.tick(900, 30) == 30
    assert clock.tick(900.1, 30.1) == pytest.approx(30.1)
