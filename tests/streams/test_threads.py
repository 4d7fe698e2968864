import threading

import pytest

from fairmot_mm.streams import read_ahead, write_behind


def test_items_are_read_ahead_in_order_and_no_further():
    taken, before = [], threading.active_count()

    def items():
        for i in range(100):
            taken.append(i)
            yield i

    with read_ahead(items(), 3) as ahead:
        assert [next(ahead) for _ in range(5)] == [0, 1, 2, 3, 4]
    assert len(taken) <= 10
    assert threading.active_count() <= before


def test_an_error_while_reading_ahead_is_raised_in_its_place():
    def items():
        yield 1
        raise OSError("broken")

    with read_ahead(items(), 3) as ahead:
        assert next(ahead) == 1
        with pytest.raises(OSError, match="broken"):
            next(ahead)


def test_a_stalled_source_does_not_hold_up_leaving():
    goes_on, closed = threading.Event(), threading.Event()

    def items():
        try:
            yield 1
            goes_on.wait()
            yield 2
        finally:
            closed.set()

    # The source goes on only afterwards: leaving at all is what is tested.
    with read_ahead(items(), 3) as ahead:
        assert next(ahead) == 1
    goes_on.set()
    assert closed.wait(5)


def test_stop_ends_the_items_of_a_stalled_source():
    goes_on, stop = threading.Event(), threading.Event()

    def items():
        yield 1
        goes_on.wait()

    with read_ahead(items(), 3, stop) as ahead:
        assert next(ahead) == 1
        threading.Timer(0.1, stop.set).start()
        assert list(ahead) == []
        goes_on.set()


def test_calls_are_made_in_order_and_before_leaving():
    seen = []
    with write_behind(seen.append, 2) as write:
        for i in range(10):
            write(i)
    assert seen == list(range(10))


def test_an_error_while_writing_is_raised():
    def fail(_):
        raise OSError("full")

    with pytest.raises(OSError, match="full"), write_behind(fail, 2) as write:
        write(1)
