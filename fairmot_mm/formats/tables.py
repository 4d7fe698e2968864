"""Files with a line of numbers per box, as most tracking benchmarks have them."""

from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

import numpy as np

from .annotation_errors import AnnotationError, ErrorSink, raise_error

Row = TypeVar("Row")
Line = tuple[int, str]  # number from 1, text

# Past this, float64 (what the files are parsed to) skips whole numbers.
_LARGEST_INTEGER = 2**53


@dataclass(frozen=True)
class NumberTable:
    """The numbers of a file.

    Attributes:
        path: The file.
        values: (N, C) float64.
        lines: (N,) int64, line numbers from 1.
        errors: Takes the errors found in the rows.
    """

    path: Path
    values: np.ndarray
    lines: np.ndarray
    errors: ErrorSink = raise_error

    def without(
        self, kind: str, bad: np.ndarray, describe: Callable[[int], str]
    ) -> "NumberTable":
        """Leave out bad rows (N,), reported in the order of the file.

        ``describe`` says what is wrong with a row, given its index.
        """
        rows = np.flatnonzero(bad)
        for row in rows[np.argsort(self.lines[rows], kind="stable")].tolist():
            line = int(self.lines[row])
            self.errors(AnnotationError(kind, self.path, line, describe(row)))
        return self.select(~bad) if len(rows) else self

    def select(self, rows: np.ndarray) -> "NumberTable":
        """Keep some rows: (N,) mask, or (M,) indices."""
        return replace(self, values=self.values[rows], lines=self.lines[rows])


def read_lines(path: Path) -> list[Line]:
    """Lines of a text file that are not blank."""
    # A byte that is no text makes its line no number, which is reported as such.
    return split_lines(path.read_text(encoding="utf-8-sig", errors="replace"))


def split_lines(text: str) -> list[Line]:
    """Lines of a text that are not blank."""
    rows = enumerate(text.split("\n"), 1)
    return [(number, row) for number, row in rows if row.strip()]


def parse_lines(
    path: str | Path,
    lines: Iterable[Line],
    parse: Callable[[str], Row],
    errors: ErrorSink,
) -> tuple[list[Row], np.ndarray]:
    """What lines hold, and their numbers (N,).

    A line is reported, and left out, if ``parse`` raises ValueError.
    """
    parsed, numbers = [], []
    for number, text in lines:
        try:
            if "\ufffd" in text:  # what decoding puts for bytes that are no text
                raise ValueError("not UTF-8 text, expected text")
            parsed.append(parse(text))
            numbers.append(number)
        except ValueError as error:
            errors(AnnotationError("malformed line", path, number, str(error)))
    return parsed, np.array(numbers, np.int64)


def parse_numbers(cells: Sequence[str]) -> list[float]:
    """Numbers of a line; ValueError if a cell is something else."""
    try:
        return [parse_number(cell) for cell in cells]
    except ValueError:
        text = ",".join(cells)
        raise ValueError(f"not numeric: {text!r}, expected numbers") from None


def parse_number(text: str) -> float:
    """A number; ValueError if it is something else."""
    if "_" in text or not text.isascii():  # 1_0, or digits of another alphabet
        raise ValueError(f"not a number: {text!r}")
    return float(text)


def read_table(
    path: Path, min_columns: int, errors: ErrorSink = raise_error
) -> NumberTable:
    """Parse a comma-separated file of finite numbers, blank lines aside.

    Lines are reported that have fewer than ``min_columns`` columns, not as many as the
    first, or anything but finite numbers.
    """
    numbered = read_lines(path)
    lines = np.array([number for number, _ in numbered], np.int64)
    values = np.empty((0, 0))
    if numbered:
        with suppress(ValueError):
            texts = (text for _, text in numbered)
            values = np.loadtxt(texts, delimiter=",", comments=None, ndmin=2)
    if values.shape[1] < min_columns:
        # Line by line is slow, but knows the line; it also takes what NumPy does
        # not, such as a comma at the end.
        rows, lines = parse_lines(path, numbered, _row_parser(min_columns), errors)
        values = np.array(rows) if rows else np.empty((0, min_columns))
    return NumberTable(path, values, lines, errors).without(
        "malformed line",
        ~np.all(np.isfinite(values), axis=1),
        lambda i: "holds NaN or infinity, expected finite numbers",
    )


def check_keys(
    table: NumberTable, integers: dict[int, str], length: int | None
) -> NumberTable:
    """Check frames and identities (columns 0 and 1), and sort by them.

    Rows are reported and left out whose frame is outside the sequence, or whose
    identity (negative ones included) is in the frame already.

    Args:
        table: The rows.
        integers: Columns that must be whole numbers, and their names.
        length: Frames of the sequence, or None for no upper limit.
    """
    for column, name in integers.items():
        cells = table.values[:, column]
        table = table.without(
            "malformed line",
            (cells != np.rint(cells)) | (np.abs(cells) > _LARGEST_INTEGER),
            lambda i: f"{name} {cells[i]:g}, expected a whole number",  # noqa: B023 (used at once)
        )
    frames = table.values[:, 0]
    most = f"at most {length}, the length of the sequence (seqLength in seqinfo.ini)"
    least = "1 or more: frames count from 1"
    table = table.without(
        "frame outside the sequence",
        (frames < 1) | (frames > (np.inf if length is None else length)),
        lambda i: f"frame {frames[i]:.0f}, expected {least if frames[i] < 1 else most}",
    )
    # lexsort is stable, so of two equal keys the later line comes second.
    table = table.select(np.lexsort((table.values[:, 1], table.values[:, 0])))
    values, lines = table.values, table.lines
    repeated = np.zeros(len(values), bool)
    repeated[1:] = (values[1:, :2] == values[:-1, :2]).all(1)
    return table.without(
        "identity twice",
        repeated,
        lambda i: (
            f"id {values[i, 1]:.0f} is twice in frame {values[i, 0]:.0f}, "
            f"expected once (first on line {lines[i - 1]})"
        ),
    )


def _row_parser(min_columns: int) -> Callable[[str], list[float]]:
    """A parser for rows that all have as many columns as the first."""
    columns = 0

    def parse(row: str) -> list[float]:
        nonlocal columns
        cells = row.strip().removesuffix(",").split(",")
        found = f"{len(cells)} columns, expected"
        if len(cells) < min_columns:
            raise ValueError(f"{found} at least {min_columns}, separated by commas")
        numbers = parse_numbers(cells)
        columns = columns or len(numbers)
        if len(numbers) != columns:
            raise ValueError(f"{found} {columns} as on the first")
        return numbers

    return parse
