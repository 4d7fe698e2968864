"""Configs match their names, and a dumped one reads the same."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from mmengine.config import Config

CONFIGS = sorted((Path(__file__).parents[1] / "configs").glob("*.py"))


def transforms(pipeline: list) -> Iterator[dict]:
    for transform in pipeline:
        yield from transforms(transform.get("transforms", []))
        yield transform


def test_one_line_sets_the_input_size(tmp_path):
    size = "dict(dataset=dict(input_size=(320, 192)))"
    base = CONFIGS[0].parent / "fairmot_dla34_mix.py"
    path = tmp_path / "small.py"
    path.write_text(
        f"_base_ = {str(base)!r}\ntrain_dataloader = test_dataloader = {size}\n"
    )
    small, large = Config.fromfile(path), Config.fromfile(base)
    for name in ("train_dataloader", "test_dataloader"):
        assert small[name].dataset.pop("input_size") == (320, 192)
        assert large[name].dataset.pop("input_size") == (1088, 608)
        assert small[name] == large[name]


def test_what_is_kept_back_validates():
    by_name = {path.stem: Config.fromfile(path) for path in CONFIGS}
    validated = {name for name, cfg in by_name.items() if "val_cfg" in cfg}
    assert validated == {"fairmot_dla34_mot17half", "fairmot_dla34_custom"}
    half, custom = (by_name[name] for name in sorted(validated, reverse=True))
    for cfg in (half, custom):
        assert cfg.val_dataloader.dataset == cfg.test_dataloader.dataset
        assert cfg.default_hooks.checkpoint.save_best == "mot/HOTA"
    assert half.train_dataloader.dataset.half == "first"
    assert half.val_dataloader.dataset.half == "second"
    (source,) = custom.train_dataloader.dataset.datasets
    kept = custom.val_dataloader.dataset.source
    assert source.pop("share") == (0, kept.share[0])
    assert kept.pop("share") == (0.8, 1)
    assert kept == source


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_configs_are_whole(path, tmp_path):
    cfg = Config.fromfile(path)
    training, tracking = cfg.train_dataloader.dataset, cfg.test_dataloader.dataset
    training = training.dataset if training.type == "RepeatDataset" else training
    size = tuple(tracking.input_size)
    if path.stem != "fairmot_yolov5s_demo":  # it trains on enlarged parts
        assert tuple(training.input_size) == size
    for pipeline in (training.pipeline, tracking.pipeline):
        (letterbox,) = (t for t in transforms(pipeline) if t.type == "Letterbox")
        assert letterbox == dict(type="Letterbox")  # its size is the dataset's
    assert all(side % 32 == 0 for side in (*size, *training.input_size))
    for named in ((864, 480), (576, 320)):
        if f"{named[0]}x{named[1]}" in path.stem:
            assert size == named
    if cfg.model.bbox_head.num_classes > 1:  # not all upright, as people are
        assert cfg.model.tracker.max_aspect_ratio is None
    cfg.dump(tmp_path / "config.py")
    again = Config.fromfile(tmp_path / "config.py")
    assert again.to_dict() == cfg.to_dict()


def test_published_trainings():
    def of(name: str) -> Config:
        path = CONFIGS[0].parent / f"fairmot_dla34_{name}.py"
        return Config.fromfile(path)

    mix, crowd = of("mix"), of("crowdhuman")
    sources = mix.train_dataloader.dataset.datasets
    names = [source.get("ann_file") or source.data_root for source in sources]
    assert names == [
        "data/MOT17/train",
        *(f"lists/{n}" for n in ("caltech.all", "citypersons.train")),
        *(f"lists/{n}" for n in ("cuhksysu.train", "prw.train", "eth.train")),
    ]
    assert (mix.train_cfg.max_epochs, crowd.train_cfg.max_epochs) == (30, 60)
    assert crowd.train_dataloader.batch_size == 8
    for name in ("mot15", "mot20"):
        cfg = of(name)
        assert cfg.train_cfg.max_epochs == 20
        assert cfg.param_scheduler[0].milestones == [15]
        assert cfg.load_from
    clip = [s.get("clip", False) for s in of("mot20").train_dataloader.dataset.pipeline]
    assert clip == [False, False, False, True, False, False]
    assert of("mot20").train_dataloader.dataset.clip
