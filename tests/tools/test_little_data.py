"""The recipe for little data, part by part, on five tiny sequences."""

import json
import sys
from argparse import Namespace
from pathlib import Path

import pytest
from mmengine.config import Config

sys.path.insert(0, str(Path(__file__).parents[2] / "tools/analysis_tools"))

import little_data as tool

from fairmot_mm.deployment.exporting import parse_size
from fairmot_mm.synthetic import make_sequence


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("real")
    settings = dict(num_frames=8, num_people=3, size=(96, 64))
    for seed, name in enumerate(tool.SEQUENCES):
        make_sequence(root, name, seed=seed, **settings)
    return root


def settings(*arguments: str) -> Namespace:
    args = tool.make_parser().parse_args(["out", *arguments])
    args.size = parse_size(args.size)
    return args


def test_last_part_makes_the_recipe():
    args = settings("--steps", "1500")
    cfg, recipe = (
        tool.row_config("stills", args, 317),
        Config.fromfile(tool.RECIPE),
    )
    recipe.model.tracker.obj_score_thr = cfg.model.tracker.obj_score_thr
    recipe.model.neck.in_channels = list(recipe.model.neck.in_channels)
    for key in ("model", "param_scheduler", "optim_wrapper", "custom_hooks"):
        assert cfg[key] == recipe[key], key
    data, expected = (x.train_dataloader.dataset for x in (cfg, recipe))
    assert data.pipeline == expected.pipeline
    assert data.repeats == [1, 1, 1, 25, 4]  # of the recipe without ETH-Sunnyday
    assert data.datasets[-1].ann_file == expected.datasets[-1].ann_file


def test_each_part_changes_the_config():
    args = settings("--width", "0.5", "--steps", "150")
    configs = [tool.row_config(row, args, 1).to_dict() for row in tool.ROWS]
    kept_out = {args.choose, args.report}
    for number, cfg in enumerate(configs):
        assert cfg["model"]["neck"]["in_channels"] == [32, 64, 128, 256]
        assert cfg["train_cfg"]["max_iters"] == 150
        # Those with synthetic people first differ in the weights they start from.
        alike = [n for n, other in enumerate(configs) if other == cfg]
        assert set(alike) <= {number, *(6, 7, 8)}
        data = cfg["train_dataloader"]["dataset"]
        sources = data.get("dataset", data)["datasets"]
        names = {name for x in sources for name in x.get("sequences", ())}
        assert not kept_out & names


def test_halves_train_on_all_sequences_and_track_second_halves():
    cfg = tool.row_config("published", settings("--halves"), 1)
    sources = cfg.train_dataloader.dataset.datasets
    assert [(*x.sequences, x.half) for x in sources] == [
        (name, "first") for name in tool.SEQUENCES
    ]
    assert cfg.test_dataloader.dataset.half == "second"
    whole = tool.row_config("published", settings(), 1)
    assert {x.half for x in whole.train_dataloader.dataset.datasets} == {None}
    assert whole.test_dataloader.dataset.half is None


def test_rows_are_trained_once(data, tmp_path, capsys, monkeypatch):
    arguments = [
        *(str(tmp_path), "--data", str(data), "--rows", "synthetic"),
        *("--steps", "45", "--batch-size", "2", "--width", "0.25"),
        *("--size", "96x64"),
    ]
    small = dict(train_sequences=1, num_frames=8, num_people=3, size=(96, 64))
    monkeypatch.setattr(tool, "RENDERED", tool.RENDERED | small)
    # Without pictures, which the row `synthetic` would have.
    monkeypatch.setattr(tool, "PARTS", ("ema", "schedule", "colours"))
    monkeypatch.setattr(tool, "THRESHOLDS", (0.1, 0.4))
    (tmp_path / "published-317").mkdir()  # as if it were in training
    assert tool.main(arguments) == 0, capsys.readouterr().err
    table = (tmp_path / "table.md").read_text()
    assert table.count("synthetic people first | 317") == 2
    assert (tmp_path / "curves.png").stat().st_size > 10_000
    found = json.loads((tmp_path / "synthetic-317/figures.json").read_text())
    assert found["threshold"] in tool.THRESHOLDS
    assert {"AP50", "rank1@1", "HOTA"} <= set(found["reported"])
    made = (tmp_path / "before-synthetic-317/last_checkpoint").read_text()
    cfg = Config.fromfile(tmp_path / "synthetic-317.py")
    assert cfg.load_from == made
    assert made.endswith("iter_15.pth")
    assert cfg.train_cfg.max_iters == 30

    assert tool.main([*arguments, "--halves"]) == 2
    assert "halves=False, not True; give another folder" in capsys.readouterr().err

    # What is trained is not trained again.
    last = tmp_path / "synthetic-317/last_checkpoint"
    before = last.stat().st_mtime_ns
    args = tool.make_parser().parse_args(arguments)
    args.size = parse_size(args.size)
    cfg, checkpoint = tool.train_row("synthetic", args, 317)
    assert checkpoint == last.read_text()
    assert last.stat().st_mtime_ns == before
    assert tool.score_row(cfg, checkpoint, args) == found


def test_no_background_is_cut_from_what_is_kept_out(data, tmp_path, monkeypatch):
    cut = []
    monkeypatch.setattr(
        "fairmot_mm.synthetic.make_dataset",
        lambda root, backgrounds, **settings: cut.append((root, backgrounds)),
    )
    args = settings("--data", str(data), "--report", "MOT17-02")
    args.out = tmp_path
    tool.render("mixed", args)
    tool.render("synthetic", args)
    names = ("MOT17-09", "PETS09-S2L1", "TUD-Stadtmitte")
    assert cut == [
        (tmp_path / "backgrounds", [data / name for name in names]),
        (tmp_path / "synthetic", ()),
    ]


def test_mistakes_are_one_line(data, tmp_path, capsys):
    same = [str(tmp_path), "--report", "ETH-Sunnyday"]
    assert tool.main(same) == 2
    assert "--choose and --report are both ETH-Sunnyday" in capsys.readouterr().err
    assert tool.main([str(tmp_path), "--steps", "3"]) == 2
    assert capsys.readouterr().err == "error: --steps 3: expected at least 45\n"
    assert tool.main([str(tmp_path), "--data", str(tmp_path / "none")]) == 2
    message = f"error: {tmp_path}/none: no such folder of MOTChallenge sequences\n"
    assert capsys.readouterr().err == message
    capsys.readouterr()
    assert tool.main([str(tmp_path), "--data", str(data), "--size", "100x64"]) == 2
    assert "size 100x64 of the network input" in capsys.readouterr().err
