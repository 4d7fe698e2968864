"""Configs say what their names promise, and survive being written out."""

from pathlib import Path

import pytest
from mmengine.config import Config

CONFIGS = sorted((Path(__file__).parents[1] / "configs").glob("*.py"))


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_configs_are_whole(path, tmp_path):
    cfg = Config.fromfile(path)
    training, tracking = cfg.train_dataloader.dataset, cfg.test_dataloader.dataset
    pipeline = training.get("pipeline") or training.dataset.pipeline
    sizes = [step.size for step in pipeline if step.type == "Letterbox"]
    sizes += [t.size for t in tracking.pipeline[0].transforms if "size" in t]
    (size,) = set(map(tuple, sizes))
    assert all(side % 32 == 0 for side in size)
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
