import json
from pathlib import Path

import numpy as np
import pytest
from mmengine.config import Config
from mmengine.dataset import InfiniteSampler
from mmengine.runner import Runner
from torch.utils.data import DataLoader

from fairmot_mm.datasets import MOTFrameDataset
from fairmot_mm.engine.loops import check_batches, count_identities
from fairmot_mm.registry import DATASETS
from fairmot_mm.utils.paths import CONFIGS


def people(data) -> set:
    """Everybody whom the ground truth annotates."""
    return {
        (path.parent.parent.name, line.split(",")[1])
        for path in data.glob("*/gt/gt.txt")
        for line in path.read_text().splitlines()
        if line.split(",")[6] == "1"
    }


@pytest.mark.parametrize(
    "loop",
    [
        dict(type="FairMOTTrainLoop", max_epochs=1),
        dict(type="FairMOTIterTrainLoop", max_iters=3),
    ],
    ids=lambda loop: loop["type"],
)
def test_plain_runner_trains_the_classifier(config, synthetic, loop, monkeypatch):
    reads = []
    read = MOTFrameDataset.read_sequences
    monkeypatch.setattr(
        MOTFrameDataset,
        "read_sequences",
        lambda self, errors: reads.append(self) or read(self, errors),
    )
    config.train_cfg = loop
    runtime = Config.fromfile(CONFIGS / "_base_/default_runtime.py")
    config.log_processor = runtime.log_processor
    if loop["type"] == "FairMOTIterTrainLoop":
        config.default_hooks.checkpoint = dict(type="CheckpointHook", by_epoch=False)
        config.log_processor.by_epoch = False
    config.default_hooks.logger.interval = 1
    runner = Runner.from_cfg(config)
    assert runner.model.reid_head.classifier is None
    runner.train()
    assert len(reads) == 1
    classifier = runner.model.reid_head.classifier
    assert classifier.out_features == len(people(synthetic))
    in_optimizer = {
        id(p) for group in runner.optim_wrapper.param_groups for p in group["params"]
    }
    assert id(classifier.weight) in in_optimizer
    assert runner.iter == 3
    (log,) = (path.read_text() for path in Path(config.work_dir).glob("*/*.log"))
    assert f"num_ids: {len(people(synthetic))}, from the training data" in log
    assert "15 images" in log  # what was read stands in the log
    # Parts of the loss are means, as the loss is, not the last step's values.
    (scalars,) = Path(config.work_dir).glob("*/vis_data/scalars.json")
    logged = json.loads(scalars.read_text().splitlines()[-1])
    for name in ("loss", "heatmap", "size", "offset", "id"):
        steps, _ = runner.message_hub.get_scalar(f"train/{name}").data
        assert len(steps) == 3
        assert logged[name] == pytest.approx(steps.mean()), name


def test_a_given_number_stays(config):
    config.model.reid_head.num_ids = 1000
    config.train_cfg.max_epochs = 0
    runner = Runner.from_cfg(config)
    runner.train()
    assert runner.model.reid_head.classifier.out_features == 1000


def test_a_wrapped_dataset_is_asked_too(config, synthetic):
    dataset = config.train_dataloader.dataset
    wrapped = dict(type="RepeatDataset", times=3, dataset=dataset)
    assert count_identities(DATASETS.build(wrapped)) == len(people(synthetic))


def test_identities_of_each_class_become_a_list(config, synthetic):
    config.train_dataloader.dataset.update(
        per_class_ids=True, metainfo=dict(classes=("car", "pedestrian"))
    )
    dataset = DATASETS.build(config.train_dataloader.dataset)
    assert count_identities(dataset) == [0, len(people(synthetic))]


def test_a_dataset_that_does_not_know_is_named(synthetic):
    dataset = DATASETS.build(
        dict(type="MOTVideoDataset", data_root=str(synthetic), pipeline=[])
    )
    with pytest.raises(
        AttributeError, match=r"MOTVideoDataset has no num_ids.*num_ids"
    ):
        count_identities(dataset)


def test_data_that_make_no_batch_are_refused(config):
    # Otherwise a training of no iteration would end in success.
    images = np.zeros(15)
    with pytest.raises(
        ValueError, match=r"15 training images for 1 processes make no batch of 16"
    ):
        check_batches(DataLoader(images, batch_size=16, drop_last=True))
    check_batches(DataLoader(images, batch_size=15, drop_last=True))
    check_batches(DataLoader(images, batch_size=16, drop_last=False))
    config.train_dataloader.update(batch_size=16, drop_last=True)
    with pytest.raises(ValueError, match="no batch of 16"):
        Runner.from_cfg(config).train()


def test_an_endless_sampler_makes_batches():
    class Sampler(InfiniteSampler):
        def __len__(self) -> int:
            return 3

    images = np.zeros(3)
    loader = DataLoader(images, 16, sampler=Sampler(images), drop_last=True)
    assert len(loader) == 0
    check_batches(loader)
