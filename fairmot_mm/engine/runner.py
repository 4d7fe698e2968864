"""What the tools have to arrange before MMEngine's runner takes over."""

import ctypes
import sys
from datetime import timedelta

import torch.distributed as dist
from mmengine.config import Config
from mmengine.runner import Runner

from fairmot_mm.utils.devices import default_device


def build_runner(cfg: Config) -> Runner:
    """Build a tool's runner; changes ``cfg`` as :func:`prepare_cpu_processes` does."""
    prepare_cpu_processes(cfg)
    keep_freed_memory()
    runner = Runner.from_cfg(cfg)
    runner.model.to(default_device())
    return runner


def prepare_cpu_processes(cfg: Config) -> None:
    """Let several processes work on a machine without GPUs.

    MMEngine's own start-up selects a CUDA device per process and wraps the model for
    one; with a process group that exists already and a wrapper without devices it runs
    on gloo. Does nothing where there is a GPU or a single process.

    Args:
        cfg: The runner's config, changed in place.

    Raises:
        RuntimeError: If the launcher is one that cannot do without GPUs.
    """
    if cfg.launcher == "none" or default_device() != "cpu":
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
    wrapper.update(cfg.get("model_wrapper_cfg") or {}, device_ids=None)
    cfg.model_wrapper_cfg = wrapper


def keep_freed_memory() -> None:
    """Let a process that computes on the CPU keep freed memory, where glibc manages it.

    Maps of tens of megabytes come and go with every layer. By default each is handed
    back to the system and comes in anew, page by page: a sixth of a training step.
    """
    if sys.platform != "linux" or default_device() != "cpu":
        return
    if mallopt := getattr(ctypes.CDLL(None), "mallopt", None):
        trim_threshold, top_pad, mmap_max = -1, -2, -4
        mallopt(trim_threshold, 2**31 - 1)
        mallopt(top_pad, 1 << 28)
        mallopt(mmap_max, 0)
