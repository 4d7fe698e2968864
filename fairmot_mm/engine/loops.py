"""MMEngine's training loops, which fit the model to the data they have read.

A loop is built after the model and before the optimiser, and reads the data: the one
moment at which the classifier of identities can take its size from them.
"""

from collections.abc import Sized
from typing import cast

from mmengine.dataset import InfiniteSampler
from mmengine.dist import get_world_size
from mmengine.model import is_model_wrapper
from mmengine.runner import EpochBasedTrainLoop, IterBasedTrainLoop, Runner
from torch.utils.data import DataLoader, Dataset

from fairmot_mm.registry import LOOPS
from fairmot_mm.utils.devices import default_device


@LOOPS.register_module()
class FairMOTTrainLoop(EpochBasedTrainLoop):
    """``EpochBasedTrainLoop`` that resolves ``num_ids="auto"``.

    Args:
        runner: The runner.
        dataloader: Training data, or their config.
        **kwargs: For ``EpochBasedTrainLoop``.
    """

    def __init__(
        self, runner: Runner, dataloader: DataLoader | dict, **kwargs: object
    ) -> None:
        super().__init__(runner, dataloader, **kwargs)
        fit_to_data(runner, self.dataloader)


@LOOPS.register_module()
class FairMOTIterTrainLoop(IterBasedTrainLoop):
    """``IterBasedTrainLoop`` that resolves ``num_ids="auto"``.

    Args:
        runner: The runner.
        dataloader: Training data, or their config.
        **kwargs: For ``IterBasedTrainLoop``.
    """

    def __init__(
        self, runner: Runner, dataloader: DataLoader | dict, **kwargs: object
    ) -> None:
        super().__init__(runner, dataloader, **kwargs)
        fit_to_data(runner, self.dataloader)


def fit_to_data(runner: Runner, loader: DataLoader) -> None:
    """Give the heads built with ``num_ids="auto"`` their classifiers.

    Args:
        runner: Its model is wrapped anew if it was wrapped without the classifiers.
        loader: Training data.

    Raises:
        AttributeError: If the dataset does not know its identities.
        ValueError: If there is not a single batch in the data.
    """
    check_batches(loader)
    runner.model.to(default_device())
    wrapped = is_model_wrapper(runner.model)
    model = runner.model.module if wrapped else runner.model
    heads = [m for m in model.modules() if getattr(m, "num_ids_from_data", False)]
    if not heads:
        return
    num_ids = count_identities(loader.dataset)
    runner.logger.info(f"num_ids: {num_ids}, from the training data")
    for head in heads:
        head.set_num_ids(num_ids)
    if wrapped:  # gradients are averaged of those parameters that were there
        runner.model = runner.wrap_model(runner.cfg.get("model_wrapper_cfg"), model)


def count_identities(dataset: Dataset) -> int | list[int]:
    """Number of identities; of each class if they are numbered within their class.

    Raises:
        AttributeError: If the dataset does not know its identities.
    """
    while not hasattr(dataset, "num_ids") and hasattr(dataset, "dataset"):
        dataset = dataset.dataset  # of wrappers such as RepeatDataset
    if not hasattr(dataset, "num_ids"):
        raise AttributeError(
            f"{type(dataset).__name__} has no num_ids: set model.reid_head.num_ids to "
            "the number of identities in the training data"
        )
    per_class = getattr(dataset, "per_class_ids", False)
    return getattr(dataset, "num_ids_per_class" if per_class else "num_ids")


def check_batches(loader: DataLoader) -> None:
    """Refuse a training of no iteration, which would end in success.

    Raises:
        ValueError: If there is not a single batch in a process's share of the data.
    """
    if not len(loader) and not isinstance(loader.sampler, InfiniteSampler):
        images = len(cast(Sized, loader.dataset))
        raise ValueError(
            f"{images} training images for {get_world_size()} processes "
            f"make no batch of {loader.batch_size}: lower "
            "train_dataloader.batch_size or set train_dataloader.drop_last=False"
        )
