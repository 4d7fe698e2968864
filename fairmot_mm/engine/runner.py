"""What the tools have to arrange before MMEngine's runner takes over."""

import ctypes
import math
import sys
from datetime import timedelta

import torch
import torch.distributed as dist
from mmengine.config import Config, ConfigDict
from mmengine.dist import get_world_size
from mmengine.logging import print_log
from mmengine.registry import init_default_scope
from mmengine.runner import Runner
from torch.utils.data import Dataset

from fairmot_mm.registry import DATASETS


def prepare_cpu_processes(cfg: Config) -> None:
    """Let several processes work on a machine without GPUs.

    MMEngine's own start-up selects a CUDA device per process and wraps the model for
    one; with a process group that exists already and a wrapper without devices it runs
    on gloo. Does nothing where there is a GPU or a single process.

    Args:
        cfg (Config): The runner's config, changed in place.

    Raises:
        RuntimeError: If the launcher is one that cannot do without GPUs.
    """
    if cfg.launcher == "none" or torch.cuda.is_available():
        return
    if cfg.launcher != "pytorch":
        raise RuntimeError(
            f"--launcher {cfg.launcher} needs GPUs and this machine has none: use "
            "tools/dist_train.sh or tools/dist_test.sh, which work without"
        )
    if not dist.is_initialized():
        seconds = cfg.get("env_cfg", {}).get("dist_cfg", {}).get("timeout")
        timeout = None if seconds is None else timedelta(seconds=seconds)
        dist.init_process_group(backend="gloo", timeout=timeout)
    wrapper = dict(
        type="mmengine.MMDistributedDataParallel",
        # As MMEngine wraps by itself.
        broadcast_buffers=False,
        find_unused_parameters=cfg.get("find_unused_parameters", False),
    )
    cfg.model_wrapper_cfg = {
        **wrapper,
        **(cfg.get("model_wrapper_cfg") or {}),
        "device_ids": None,
    }


def keep_freed_memory() -> None:
    """Let the process keep memory that it has freed, where glibc manages it.

    Maps of tens of megabytes come and go with every layer. By default each is handed
    back to the system and comes in anew, page by page: on a CPU a sixth of a training
    step.
    """
    if sys.platform != "linux":
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return
    trim_threshold, top_pad, mmap_max = -1, -2, -4
    mallopt(trim_threshold, 2**31 - 1)
    mallopt(top_pad, 1 << 28)
    mallopt(mmap_max, 0)


def build_training_runner(cfg: Config) -> Runner:
    """Build a runner for a config fitted to its training data, which is read once.

    Args:
        cfg (Config): The runner's config, changed in place.

    Returns:
        Runner: Ready to train.

    Raises:
        ValueError: If there is not a single batch in the data.
    """
    dataset = fit_to_training_data(cfg)
    runner = Runner.from_cfg(cfg)
    check_batches(len(dataset), cfg.train_dataloader)
    # The runner would read everything once more.
    runner._train_dataloader["dataset"] = dataset
    source = _source_of_identities(dataset)
    if hasattr(source, "summary"):  # what was logged before there was a log file
        runner.logger.info(f"training data\n{source.summary()}")
    return runner


def fit_to_training_data(cfg: Config) -> Dataset:
    """Read the training data and fit the config to it.

    ``model.reid_head.num_ids='auto'`` becomes the number of identities; a list of the
    number of each class if the dataset numbers them within their class.

    Args:
        cfg (Config): The runner's config, changed in place.

    Returns:
        Dataset: The training data.

    Raises:
        AttributeError: If the dataset does not know its identities.
    """
    init_default_scope(cfg.get("default_scope", "fairmot_mm"))
    dataset = DATASETS.build(cfg.train_dataloader.dataset)
    reid_head = cfg.model.get("reid_head", {})
    if reid_head.get("num_ids") != "auto":
        return dataset
    source = _source_of_identities(dataset)
    if not hasattr(source, "num_ids"):
        raise AttributeError(
            f"{type(source).__name__} has no num_ids: set model.reid_head.num_ids to "
            "the number of identities in the training data"
        )
    per_class = getattr(source, "per_class_ids", False)
    num_ids = source.num_ids_per_class if per_class else source.num_ids
    reid_head["num_ids"] = num_ids
    print_log(f"model.reid_head.num_ids: {num_ids}", logger="current")
    return dataset


def check_batches(num_images: int, loader: ConfigDict) -> None:
    """Make sure that every process gets a batch; to be called once they are joined.

    Args:
        num_images (int): Length of the training data.
        loader (ConfigDict): ``train_dataloader``.

    Raises:
        ValueError: If there is not a single one.
    """
    processes = get_world_size()
    # The sampler fills up the shares, so that they are equally long.
    share = math.ceil(num_images / processes)
    if loader.get("drop_last") and share < loader.batch_size:
        raise ValueError(
            f"{num_images} training images for {processes} processes make no batch of "
            f"{loader.batch_size}: lower train_dataloader.batch_size or set "
            "train_dataloader.drop_last=False"
        )


def _source_of_identities(dataset: Dataset) -> Dataset:
    """What wrappers such as RepeatDataset wrap, whether it knows identities or not."""
    while not hasattr(dataset, "num_ids") and hasattr(dataset, "dataset"):
        dataset = dataset.dataset
    return dataset
