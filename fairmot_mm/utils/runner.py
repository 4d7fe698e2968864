"""What the tools have to arrange before MMEngine's runner takes over."""

import ctypes
import sys

import torch
import torch.distributed as dist
from mmengine.config import Config
from mmengine.dist import get_world_size
from mmengine.logging import print_log
from mmengine.registry import init_default_scope

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
        dist.init_process_group(backend="gloo")
    cfg.model_wrapper_cfg = dict(
        type="mmengine.MMDistributedDataParallel", device_ids=None
    )


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


def fit_to_training_data(cfg: Config) -> None:
    """Read the training data once and fit the config to it.

    ``model.reid_head.num_ids='auto'`` becomes the number of identities.

    Args:
        cfg (Config): The runner's config, changed in place.

    Raises:
        AttributeError: If the dataset does not know its identities.
        ValueError: If there is not a single batch in the data.
    """
    init_default_scope(cfg.get("default_scope", "fairmot_mm"))
    loader = cfg.train_dataloader
    dataset = DATASETS.build(loader.dataset)
    batch = loader.batch_size * get_world_size()
    if loader.get("drop_last") and len(dataset) < batch:
        raise ValueError(
            f"{len(dataset)} training images make no batch of {batch}: lower "
            "train_dataloader.batch_size or set train_dataloader.drop_last=False"
        )
    reid_head = cfg.model.get("reid_head", {})
    if reid_head.get("num_ids") != "auto":
        return
    # Wrappers such as RepeatDataset hold the dataset they wrap.
    while not hasattr(dataset, "num_ids") and hasattr(dataset, "dataset"):
        dataset = dataset.dataset
    if not hasattr(dataset, "num_ids"):
        raise AttributeError(
            f"{type(dataset).__name__} has no num_ids: set model.reid_head.num_ids to "
            "the number of identities in the training data"
        )
    reid_head["num_ids"] = dataset.num_ids
    print_log(f"model.reid_head.num_ids: {dataset.num_ids}", logger="current")
