import argparse

import pytest

from fairmot_mm.utils.command_line import add_cfg_options


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("my data/MOT 17", "my data/MOT 17"),
        ("'my data'", "my data"),
        ("data/MOT17", "data/MOT17"),
        ("(1, 2)", (1, 2)),
        ("a, b", ["a", "b"]),
        ("0.5", 0.5),
        ("None", None),
    ],
)
def test_settings_keep_their_blanks(text, value):
    parser = argparse.ArgumentParser()
    add_cfg_options(parser)
    args = parser.parse_args(["--cfg-options", f"data.root={text}"])
    assert args.cfg_options == {"data.root": value}
