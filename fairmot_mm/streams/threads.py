"""Reading ahead and writing behind, in a thread each."""

import queue
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager
from typing import TypeVar

Item = TypeVar("Item")

_END = object()
# Seconds that a stalled source may hold up closing; afterwards it closes by itself.
_PATIENCE = 1.0


@contextmanager
def read_ahead(
    items: Generator[Item, None, None], size: int, stop: threading.Event | None = None
) -> Iterator[Iterator[Item]]:
    """Take items in a thread, up to ``size`` before they are asked for.

    The thread also closes ``items``, on leaving or as soon as a stalled item is there.

    Args:
        items: Where they come from.
        size: Greatest number that waits.
        stop: Ends the items once it is set, even if the source is stalled.

    Yields:
        The items in order; an error while taking one is raised in its place.
    """
    waiting: queue.Queue = queue.Queue(size)
    closed = threading.Event()
    thread = threading.Thread(target=_feed, args=(items, waiting, closed), daemon=True)
    thread.start()
    try:
        yield _take(waiting, stop or threading.Event())
    finally:
        closed.set()
        thread.join(_PATIENCE)


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


def _feed(items: Generator, waiting: queue.Queue, closed: threading.Event) -> None:
    error = None
    try:
        with closing(items):
            for item in items:
                if not _put((item, None), waiting, closed):
                    return
    except BaseException as caught:
        error = caught
    _put((_END, error), waiting, closed)


def _put(entry: tuple, waiting: queue.Queue, closed: threading.Event) -> bool:
    while not closed.is_set():
        try:
            waiting.put(entry, timeout=0.1)
        except queue.Full:
            continue
        return True
    return False


def _take(waiting: queue.Queue, stop: threading.Event) -> Iterator:
    while not stop.is_set():
        try:
            item, error = waiting.get(timeout=0.1)
        except queue.Empty:
            continue
        if error is not None:
            raise error
        if item is _END:
            return
        yield item
