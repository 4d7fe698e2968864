"""Errors in annotation files: raised at once, or collected for a report.

Readers hand each error to a sink and skip what is wrong. The default sink is
:func:`raise_error`; the ``append`` of a list collects them.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class AnnotationError:
    """Something wrong in a file.

    Attributes:
        kind: What it is in a word or two, for counting.
        path: The file.
        line: From 1, or None where there are no lines.
        text: What is wrong, and what was expected.
        exception: What to raise for it; a ValueError if None.
    """

    kind: str
    path: str | Path
    line: int | None
    text: str
    exception: Exception | None = None

    def __str__(self) -> str:
        place = self.path if self.line is None else f"{self.path}:{self.line}"
        return f"{place}: {self.text}"


ErrorSink = Callable[[AnnotationError], None]


def raise_error(error: AnnotationError) -> None:
    """Raise the exception of an error, or ValueError: ``PATH:LINE: TEXT``."""
    raise error.exception or ValueError(str(error))


@contextmanager
def unreadable_file(path: Path, errors: ErrorSink) -> Iterator[None]:
    """Report what makes a whole file useless, and leave the block."""
    try:
        yield
    except (OSError, ValueError) as error:
        text = str(error).removeprefix(f"{path}: ")
        errors(AnnotationError("unreadable file", path, None, text, error))
