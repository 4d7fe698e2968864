"""Reading ahead and writing behind, in a thread each."""

import queue
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

Item = TypeVar("Item")

_END = object()


@contextmanager
def read_ahead(items: Iterable[Item], size: int) -> Iterator[Iterator[Item]]:
    """Take items in a thread, up to ``size`` before they are asked for.

    Yields:
        The items in order; an error while taking one is raised in its place.
    """
    waiting: queue.Queue = queue.Queue(size)
    stopped = threading.Event()
    thread = threading.Thread(target=_feed, args=(items, waiting, stopped), daemon=True)
    thread.start()
    try:
        yield _take(waiting)
    finally:
        stopped.set()
        thread.join()


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


def _feed(items: Iterable, waiting: queue.Queue, stopped: threading.Event) -> None:
    error = None
    try:
        for item in items:
            if not _put((item, None), waiting, stopped):
                return
    except BaseException as caught:
        error = caught
    _put((_END, error), waiting, stopped)


def _put(entry: tuple, waiting: queue.Queue, stopped: threading.Event) -> bool:
    while not stopped.is_set():
        try:
            waiting.put(entry, timeout=0.1)
        except queue.Full:
            continue
        return True
    return False


def _take(waiting: queue.Queue) -> Iterator:
    while True:
        item, error = waiting.get()
        if error is not None:
            raise error
        if item is _END:
            return
        yield item
