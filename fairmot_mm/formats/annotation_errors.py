"""What is wrong with a data set: raised at once, or collected for a report.

Readers call :func:`report` and :func:`report_rows` and then go on without what is at
fault. In training nothing comes after the call: it raises. Within
:func:`collect_faults` everything that is wrong gets listed instead.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path

import numpy as np


@dataclass(frozen=True)
class Fault:
    """Something wrong in a file.

    Attributes:
        kind: What it is in a word or two, for counting.
        path: The file.
        line: Its line, from 1, or None where there are no lines.
        text: What is wrong, and what was expected.
    """

    kind: str
    path: str
    line: int | None
    text: str

    def __str__(self) -> str:
        place = self.path if self.line is None else f"{self.path}:{self.line}"
        return f"{place}: {self.text}"


_collected: ContextVar[list[Fault] | None] = ContextVar("collected", default=None)


@contextmanager
def collect_faults() -> Iterator[list[Fault]]:
    """List faults instead of raising the first.

    Yields:
        The list, which fills while the block runs.
    """
    faults: list[Fault] = []
    token = _collected.set(faults)
    try:
        yield faults
    finally:
        _collected.reset(token)


def collecting() -> bool:
    """Whether faults are listed at present."""
    return _collected.get() is not None


def report(
    kind: str,
    path: str | Path,
    line: int | None,
    text: str,
    error: type[Exception] = ValueError,
) -> None:
    """Report one fault.

    Raises:
        error: The fault, ``PATH:LINE: TEXT``, unless faults are collected.
    """
    fault = Fault(kind, str(path), None if line is None else int(line), text)
    faults = _collected.get()
    if faults is None:
        raise error(str(fault))
    faults.append(fault)


def report_rows(
    kind: str,
    path: str | Path,
    lines: np.ndarray,
    bad: np.ndarray,
    describe: Callable[[int], str],
) -> np.ndarray:
    """Report the bad rows of a table, the first in the file first.

    Args:
        kind: As for :func:`report`.
        path: The file.
        lines: (N,) line of each row.
        bad: (N,) mask of what is wrong.
        describe: What is wrong with a row, by its number.

    Returns:
        (N,) mask of the rows that are right.

    Raises:
        ValueError: The first one, unless faults are collected.
    """
    rows = np.flatnonzero(bad)
    for row in rows[np.argsort(lines[rows], kind="stable")]:
        report(kind, path, lines[row], describe(row))
    return ~bad


@contextmanager
def as_fault(kind: str, path: str | Path) -> Iterator[None]:
    """Turn what makes a whole file useless into a fault, if faults are collected."""
    try:
        yield
    except (OSError, ValueError) as error:
        if not collecting():
            raise
        text = str(error).removeprefix(f"{path}: ")
        report(kind, path, None, text)
