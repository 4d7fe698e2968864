"""The figures of tracking: their names, and their layout for people.

Figures are dicts by sequence, and one for ``'COMBINED'``, of fractions (float, 1 is
perfect) and counts (int). A fraction whose denominator is 0 is 0.
"""

from __future__ import annotations

import io

from rich import box
from rich.console import Console
from rich.table import Table

FRACTIONS = ("HOTA", "DetA", "AssA", "MOTA", "MOTP", "IDF1", "IDP", "IDR")
COUNTS = ("IDSW", "FP", "FN", "MT", "ML", "Frag")
NAMES = FRACTIONS + COUNTS
COMBINED = "COMBINED"

Figures = dict[str, dict[str, float]]


def format_table(figures: Figures) -> str:
    """Lay figures out as a Markdown table: fractions in percent, combined ones last."""
    rows = sorted(figures, key=lambda name: name == COMBINED)
    present = [key for key in NAMES if any(key in figures[name] for name in rows)]
    table = Table(box=box.MARKDOWN)
    table.add_column("Sequence", no_wrap=True)
    for key in present:
        table.add_column(key, justify="right", no_wrap=True)
    for name in rows:
        cells = (_format_figure(key, figures[name].get(key)) for key in present)
        table.add_row(name, *cells)
    # A fixed width: a log has no terminal to ask for one, and nothing may be cut off.
    text = io.StringIO()
    Console(file=text, width=1000, color_system=None, markup=False, emoji=False).print(
        table
    )
    lines = text.getvalue().splitlines()
    return "\n".join(line.rstrip() for line in lines if line.strip())


def _format_figure(key: str, value: float | None) -> str:
    if value is None:
        return "-"
    return f"{100 * value:.1f}" if key in FRACTIONS else str(value)
