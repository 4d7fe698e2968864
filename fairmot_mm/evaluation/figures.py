"""The figures of tracking: their names, and their layout for people.

Figures are dicts by sequence, and one for ``'COMBINED'``, of fractions (float, 1 is
perfect) and counts (int). A fraction whose denominator is 0 is 0.
"""

FRACTIONS = ("HOTA", "DetA", "AssA", "MOTA", "MOTP", "IDF1", "IDP", "IDR")
COUNTS = ("IDSW", "FP", "FN", "MT", "ML", "Frag")
NAMES = FRACTIONS + COUNTS
COMBINED = "COMBINED"
CLASS_AVERAGED = "class_averaged"
DETECTION_AVERAGED = "detection_averaged"

Figures = dict[str, dict[str, float]]


def format_table(figures: Figures, rows: str = "Sequence") -> str:
    """Lay figures out as a Markdown table: fractions in percent, combined ones last.

    Args:
        figures: By sequence, or by class.
        rows: What a row is, for the header.
    """
    names = sorted(figures, key=lambda name: name == COMBINED)
    present = [key for key in NAMES if any(key in figures[name] for name in names)]
    table = [[rows, *present]]
    table += [[name, *(_cell(figures[name], key) for key in present)] for name in names]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    lines = [
        f"| {' | '.join((name.ljust(widths[0]), *map(str.rjust, row, widths[1:])))} |"
        for name, *row in table
    ]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(lines)


def _cell(figures: dict[str, float], key: str) -> str:
    if key not in figures:
        return "-"
    return f"{100 * figures[key]:.1f}" if key in FRACTIONS else str(figures[key])
