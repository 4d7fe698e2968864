"""MMEngine's training loops, fitted to their data, and a validation beside them.

A loop is built after the model and before the optimiser, and reads the data: the one
moment at which the classifier of identities can take its size from them.
"""

import copy
import random
from collections.abc import Callable, Iterator, Sized
from contextlib import contextmanager
from functools import partial
from typing import TypeVar, cast

import numpy as np
import torch
from mmengine.dataset import InfiniteSampler
from mmengine.dist import all_gather_object, broadcast, get_world_size
from mmengine.model import is_model_wrapper
from mmengine.runner import (
    BaseLoop,
    EpochBasedTrainLoop,
    IterBasedTrainLoop,
    Runner,
    ValLoop,
)
from torch import nn
from torch.utils.data import DataLoader, Dataset

from fairmot_mm.datasets import MOTVideoDataset
from fairmot_mm.formats.mot import read_gt, read_sequence
from fairmot_mm.registry import LOOPS
from fairmot_mm.utils.devices import default_device

from .mixed_precision import half_precision

Result = TypeVar("Result")


class _FittedToData(BaseLoop):
    """Mixin of training loops, see :func:`fit_to_data`."""

    def __init__(self, *args: object, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)
        fit_to_data(self.runner, self.dataloader)


@LOOPS.register_module()
class FairMOTTrainLoop(_FittedToData, EpochBasedTrainLoop):
    """``EpochBasedTrainLoop`` that resolves ``num_ids="auto"``."""


@LOOPS.register_module()
class FairMOTIterTrainLoop(_FittedToData, IterBasedTrainLoop):
    """``IterBasedTrainLoop`` that resolves ``num_ids="auto"``."""


@LOOPS.register_module()
class FairMOTValLoop(ValLoop):
    """``ValLoop`` that leaves the training as it would be without it.

    It tracks with a copy of the network, optimised for inference and taken after
    ``before_val_epoch``, in which ``EMAHook`` provides its averaged weights. Random
    states are restored. While training an error is logged, and the training goes on
    without figures; ``Runner.val`` raises it.

    Args:
        *args: For ``ValLoop``.
        fp16: Track in half precision, as ``tools/test.py --amp``.
        **kwargs: For ``ValLoop``.

    Raises:
        FileNotFoundError: If no sequence has ground truth.
        ValueError: If ground truth is malformed or has boxes without identity.
    """

    def __init__(self, *args: object, fp16: bool = False, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)
        self.precision = half_precision(default_device()) if fp16 else torch.float32
        check_ground_truth(self.dataloader.dataset)
        for metric in self.evaluator.metrics:
            # The main process computes while the others wait: it must answer them.
            metric.compute_metrics = partial(self._attempt, {}, metric.compute_metrics)

    def run(self) -> dict:
        """Track and score; the same figures in every process, none after an error."""
        scalars, hook = self.runner.message_hub.log_scalars, self.runner.call_hook
        # The log would repeat what this validation does not find.
        for name in [name for name in scalars if name.startswith("val/")]:
            del scalars[name]
        self._error = ""
        with _same_random_state():
            hook("before_val")
            hook("before_val_epoch")
            self._attempt(None, self._track)
            errors = [text for text in all_gather_object(self._error) if text]
            metrics: dict[str, float] = {}
            if errors:  # of any process
                self.runner.logger.error(f"no validation: {'; '.join(errors)}")
                for metric in self.evaluator.metrics:
                    metric.results.clear()
            else:
                size = len(self.dataloader.dataset)
                metrics = self._attempt({}, self.evaluator.evaluate, size)
            hook("after_val_epoch", metrics=metrics)
            hook("after_val")
        return metrics

    def _track(self) -> None:
        """Track this process's share of the videos."""
        trained = self.runner.model
        try:
            self.runner.model = inference_copy(trained, self.precision)
            for index, batch in enumerate(self.dataloader):
                self.run_iter(index, batch)
        finally:
            self.runner.model = trained

    def _attempt(
        self, failed: Result, step: Callable[..., Result], *args: object
    ) -> Result:
        """Result of a step, or ``failed`` after an error while training."""
        try:
            return step(*args)
        except Exception as error:
            if not isinstance(self.runner._train_loop, BaseLoop):
                raise
            self._error = str(error)
            self.runner.logger.exception("no validation, training goes on:")
            return failed


def inference_copy(model: nn.Module, dtype: torch.dtype) -> nn.Module:
    """A copy of a network or its wrapper, optimised for inference with ``dtype``."""
    inner = cast(nn.Module, model.module) if is_model_wrapper(model) else model
    model = copy.deepcopy(inner).eval()
    # Processes have their own running statistics; checkpoints hold the main one's.
    for buffer in model.buffers():
        broadcast(buffer)
    optimize = getattr(model, "optimize_for_inference", None)
    return model if optimize is None else optimize(dtype)


def check_ground_truth(dataset: Dataset) -> None:
    """Find what cannot be scored before there is something to score."""
    if not isinstance(dataset, MOTVideoDataset):
        return
    infos = [dataset.get_data_info(i)["images"][0] for i in range(len(dataset))]
    sequences = [read_sequence(info["sequence_root"]) for info in infos]
    scored = [sequence for sequence in sequences if sequence.gt_path.is_file()]
    if not scored:
        raise FileNotFoundError(
            f"{sequences[0].gt_path}: no ground truth, nor of any other sequence of "
            "val_dataloader.dataset: validate on others, or set val_dataloader, "
            "val_evaluator and val_cfg to None"
        )
    for sequence in scored:
        read_gt(sequence)


@contextmanager
def _same_random_state() -> Iterator[None]:
    """Leave the random number generators of the process as they were."""
    python, arrays = random.getstate(), np.random.get_state()
    try:
        with torch.random.fork_rng():
            yield
    finally:
        random.setstate(python)
        np.random.set_state(arrays)


def fit_to_data(runner: Runner, loader: DataLoader) -> None:
    """Give the heads built with ``num_ids="auto"`` their classifiers.

    A model that was wrapped without the classifiers is wrapped anew.

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
    """Number of identities; of each class if they are numbered within their class."""
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
    """Refuse a training of no iteration, which would end in success."""
    if not len(loader) and not isinstance(loader.sampler, InfiniteSampler):
        images = len(cast(Sized, loader.dataset))
        raise ValueError(
            f"{images} training images for {get_world_size()} processes "
            f"make no batch of {loader.batch_size}: lower "
            "train_dataloader.batch_size or set train_dataloader.drop_last=False"
        )
