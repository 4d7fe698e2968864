from scored_sequences import TRUTH, WITHOUT_HOTA

from fairmot_mm.evaluation.figures import NAMES, format_table


def test_table_is_plain_and_combined_is_last():
    figures = {"COMBINED": TRUTH, "MOT17-90": WITHOUT_HOTA}
    header, rule, *rows = format_table(figures).splitlines()
    cells = [[cell.strip() for cell in row.strip("|").split("|")] for row in rows]
    assert [cell.strip() for cell in header.strip("|").split("|")] == [
        "Sequence",
        *NAMES,
    ]
    assert set(rule) == set("|-")
    assert [row[0] for row in cells] == ["MOT17-90", "COMBINED"]
    assert cells[0][1:5] == ["-", "-", "-", "50.0"]
    assert cells[1][1:6] == ["65.5", "71.4", "60.0", "50.0", "100.0"]
    assert cells[1][6:] == ["66.7", "66.7", "66.7", "1", "1", "1", "1", "0", "1"]
