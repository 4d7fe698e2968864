import threading

import pytest

from fairmot_mm.streams import read_ahead, write_behind


def test_items_are_read_ahead_in_order_and_no_further():
    taken = []

    def items():
        for i in range(100):
            taken.append(i)
            yield i

    with read_ahead(items(), 3) as ahead:
        assert [next(ahead) for _ in range(5)] == [0, 1, 2, 3, 4]
    assert len(taken) <= 10
    assert threading.active_count() < 20


def test_an_error_while_reading_ahead_is_raised_in_its_place():
    def items():
        yield 1
        raise OSError("broken")

    with read_ahead(items(), 3) as ahead:
        assert next(ahead) == 1
        with pytest.raises(OSError, match="broken"):
            next(ahead)


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
