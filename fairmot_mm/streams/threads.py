"""Reading ahead and writing behind, in a thread each."""

import contextlib
import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager
from typing import TypeVar, cast

Item = TypeVar("Item")

_END = object()
# Seconds that a stalled source may hold up closing; afterwards it closes by itself.
_PATIENCE = 1.0


@contextmanager
def read_ahead(
    items: Generator[Item, None, None],
    size: int,
    stop: threading.Event | None = None,
    timeout: float | None = None,
) -> Iterator[Iterator[Item]]:
    """Take items in a thread, up to ``size`` before they are asked for.

    The thread also closes ``items``, on leaving or as soon as a stalled item is there.

    Args:
        items: Where they come from.
        size: Greatest number that waits.
        stop: Ends the items once it is set, even if the source is stalled.
        timeout: Seconds to wait for an item; forever if None.

    Yields:
        The items in order; an error while taking one is raised in its place, and
        TimeoutError for one that takes longer than ``timeout``.
    """
    waiting: queue.SimpleQueue = queue.SimpleQueue()
    places, left = threading.Semaphore(size), threading.Event()

    def feed() -> None:
        error = None
        try:
            with closing(items):
                for item in items:
                    places.acquire()
                    if left.is_set():
                        return
                    waiting.put((item, None))
        except BaseException as caught:
            error = caught
        waiting.put((_END, error))

    def take() -> Iterator[Item]:
        while True:
            item, error = _next_of(waiting, stop, timeout)
            if error is not None:
                raise error
            if item is _END:
                return
            places.release()
            yield cast("Item", item)

    # Not an executor, whose threads Python waits for at its end, stalled or not.
    thread = threading.Thread(target=feed, daemon=True)
    thread.start()
    try:
        yield take()
    finally:
        left.set()
        places.release()
        thread.join(_PATIENCE)


def _next_of(
    waiting: queue.SimpleQueue, stop: threading.Event | None, timeout: float | None
) -> tuple[object, BaseException | None]:
    """An item and no error, or ``_END`` and what ended the items."""
    asked = time.monotonic()
    while not (stop and stop.is_set()):
        with contextlib.suppress(queue.Empty):
            return waiting.get(timeout=0.1)  # then look at ``stop`` again
        if timeout is not None and time.monotonic() - asked > timeout:
            return _END, TimeoutError(f"nothing within {timeout:g} s")
    return _END, None


@contextmanager
def write_behind(
    write: Callable[..., None], size: int
) -> Iterator[Callable[..., None]]:
    """Call ``write`` in a thread, up to ``size`` calls behind.

    Yields:
        The function to call instead. An error of ``write`` is raised by a later call,
        or on leaving.
    """
    pending: deque[Future] = deque()

    def submit(*args: object) -> None:
        pending.append(executor.submit(write, *args))
        while len(pending) > size:
            pending.popleft().result()

    with ThreadPoolExecutor(1) as executor:
        yield submit
        for task in pending:
            task.result()
