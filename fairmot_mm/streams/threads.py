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
        while not (stop and stop.is_set()):
            try:
                item, error = waiting.get(timeout=0.1)  # then look at ``stop`` again
            except queue.Empty:
                continue
            if error is not None:
                raise error
            if item is _END:
                return
            places.release()
            yield item

    # Not an executor, whose threads Python waits for at its end, stalled or not.
    thread = threading.Thread(target=feed, daemon=True)
    thread.start()
    try:
        yield take()
    finally:
        left.set()
        places.release()
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
