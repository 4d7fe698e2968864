"""Files with a line of numbers per box, as most tracking benchmarks have them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from .annotation_errors import report, report_rows

# Past this, float64 (what the files are parsed to) skips whole numbers.
_LARGEST_INTEGER = 2**53


@dataclass(frozen=True)
class NumberTable:
    """The numbers of a file and where they stand.

    Attributes:
        path: The file.
        values: (N, C) float64.
        lines: (N,) int64, line numbers from 1.
    """

    path: Path
    values: np.ndarray
    lines: np.ndarray

    def without(
        self, kind: str, bad: np.ndarray, describe: Callable[[np.ndarray], str]
    ) -> NumberTable:
        """Report bad rows and leave them out.

        Args:
            kind: As for :func:`.faults.report`.
            bad: (N,) mask.
            describe: What is wrong with a row (C,).

        Raises:
            ValueError: The first of them, unless faults are collected.
        """
        right = report_rows(
            kind, self.path, self.lines, bad, lambda i: describe(self.values[i])
        )
        return self.select(right) if bad.any() else self

    def select(self, rows: np.ndarray) -> NumberTable:
        """Keep some rows: (N,) mask, or (M,) indices."""
        return replace(self, values=self.values[rows], lines=self.lines[rows])


def read_lines(path: Path) -> tuple[list[str], list[int]]:
    """Lines of a text file that are not blank, and their numbers from 1."""
    # A byte that is no text makes its line no number, which is reported as such.
    text = path.read_text(encoding="utf-8-sig", errors="replace")
    rows = text.split("\n")
    numbers = [i for i, row in enumerate(rows, 1) if row.strip()]
    return [rows[i - 1] for i in numbers], numbers


def read_table(path: Path, min_columns: int) -> NumberTable:
    """Parse a comma-separated file of finite numbers, blank lines aside.

    Returns:
        NumberTable: With ``min_columns`` columns or more.

    Raises:
        ValueError: ``FILE:LINE`` has too few or other columns, or no finite number.
    """
    rows, numbers = read_lines(path)
    lines = np.array(numbers, dtype=np.int64)
    if not rows:
        return NumberTable(path, np.empty((0, min_columns)), lines)
    try:
        values = np.loadtxt(rows, delimiter=",", comments=None, ndmin=2)
    except ValueError:
        values = None
    if values is None or values.shape[1] < min_columns:
        # Line by line is slow, but knows the line; it also takes what NumPy does
        # not, such as a comma at the end.
        values, lines = _parse_lines(path, rows, numbers, min_columns)
    return NumberTable(path, values, lines).without(
        "malformed line",
        ~np.all(np.isfinite(values), axis=1),
        lambda row: "holds NaN or infinity, expected finite numbers",
    )


def check_keys(
    table: NumberTable, integers: dict[int, str], length: int | None, first: int = 1
) -> NumberTable:
    """Check frames and identities (columns 0 and 1), and sort by them.

    Args:
        table: The rows.
        integers: Columns that must be whole numbers, and their names.
        length: Frames of the sequence, or None for no upper limit.
        first: Number of the first frame.

    Returns:
        NumberTable: The rows sorted by (frame, id).

    Raises:
        ValueError: ``FILE:LINE`` has another number than expected, or an identity that
            its frame has already. This includes negative ones: where they stand for
            none and may repeat, the caller gives each a number of its own first.
    """
    for column, name in integers.items():
        cells = table.values[:, column]
        table = table.without(
            "malformed line",
            (cells != np.rint(cells)) | (np.abs(cells) > _LARGEST_INTEGER),
            lambda row, column=column, name=name: (
                f"{name} {row[column]:g}, expected a whole number"
            ),
        )
    table = table.without(
        "frame outside the sequence",
        table.values[:, 0] < first,
        lambda row: (
            f"frame {row[0]:.0f}, expected {first} or more: frames count from {first}"
        ),
    )
    if length is not None:
        table = table.without(
            "frame outside the sequence",
            table.values[:, 0] >= length + first,
            lambda row: (
                f"frame {row[0]:.0f}, expected at most {length + first - 1}, the "
                "length of the sequence (seqLength in seqinfo.ini)"
            ),
        )
    # lexsort is stable, so of two equal keys the later line comes second.
    return _without_repeats(
        table.select(np.lexsort((table.values[:, 1], table.values[:, 0])))
    )


def _without_repeats(table: NumberTable) -> NumberTable:
    """Report what has the key of the row before."""
    values, lines = table.values, table.lines
    repeated = np.zeros(len(values), dtype=bool)
    repeated[1:] = np.all(values[1:, :2] == values[:-1, :2], axis=1)
    unique = report_rows(
        "identity twice",
        table.path,
        lines,
        repeated,
        lambda i: (
            f"id {values[i, 1]:.0f} is twice in frame {values[i, 0]:.0f}, "
            f"expected once (first on line {lines[i - 1]})"
        ),
    )
    return table.select(unique)


def _parse_lines(
    path: Path, rows: list[str], numbers: list[int], min_columns: int
) -> tuple[np.ndarray, np.ndarray]:
    """Parse line by line to name those at fault."""
    table: list[list[float]] = []
    lines: list[int] = []
    for row, number in zip(rows, numbers, strict=True):
        cells = row.strip().removesuffix(",").split(",")
        wrong = _wrong_columns(cells, min_columns, len(table[0]) if table else None)
        if wrong is None:
            try:
                table.append([float(cell) for cell in cells])
                lines.append(number)
            except ValueError:
                wrong = f"not numeric: {row.strip()!r}, expected numbers"
        if wrong is not None:
            report("malformed line", path, number, wrong)
    values = np.array(table) if table else np.empty((0, min_columns))
    return values, np.array(lines, dtype=np.int64)


def _wrong_columns(cells: list[str], least: int, first: int | None) -> str | None:
    if len(cells) < least:
        return f"{len(cells)} columns, expected at least {least}, separated by commas"
    if first is not None and len(cells) != first:
        return f"{len(cells)} columns, expected {first} as on the first line"
    return None
