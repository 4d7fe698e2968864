"""Ray: processes on this machine, or on all machines of a cluster."""

import math
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import ModuleType
from typing import Any

from .worker import Worker

# Bytes of shared memory for results that wait to be written.
_OBJECT_STORE = 300_000_000


def import_ray() -> ModuleType:
    """Ray, which reports nothing to anybody.

    Raises:
        ImportError: It is not installed.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray
    except ImportError as error:
        raise ImportError(
            "archives need Ray: pip install 'fairmot_mm[archive]'"
        ) from error
    return ray


class Cluster:
    """Where workers run.

    Args:
        workers: Number of workers; None takes what the cluster has.
        device: ``cpu``, ``cuda`` or None: GPUs if the cluster has any.
    """

    def __init__(self, workers: int | None, device: str | None) -> None:
        self._ray, self.workers = import_ray(), workers
        gpus = self._ray.cluster_resources().get("GPU", 0)
        self.on_gpus = gpus > 0 if device is None else device.startswith("cuda")
        if self.on_gpus and not gpus:
            raise ValueError(
                f"--device {device}: the cluster has no GPU; leave it out, or give cpu"
            )
        share = 0.0
        if self.on_gpus:  # several may share one, down to a hundredth
            share = min(1.0, math.floor(100 * gpus / (workers or gpus)) / 100)
        options: dict[str, Any] = dict(num_cpus=1, num_gpus=share)
        # Never restarted by Ray: whoever killed it is counted in the ledger first.
        options |= dict(max_restarts=0, max_task_retries=0)
        # One thread works, another one says how far it is.
        self._worker = self._ray.remote(max_concurrency=2, **options)(Worker)

    def capacity(self) -> int:
        """How many workers there may be now; grows with machines that join."""
        if self.workers is not None:
            return self.workers
        resources = self._ray.cluster_resources()
        return int(resources.get("GPU" if self.on_gpus else "CPU", 0))

    def hire(self) -> Any:  # noqa: ANN401  (an actor's handle)
        """Start a worker, as soon as there is a place for it."""
        return self._worker.remote()


@contextmanager
def open_cluster(
    address: str | None, workers: int | None, device: str | None
) -> Iterator[Cluster]:
    """Join a cluster, or start one on this machine that ends with the block.

    Args:
        address: ``HOST:PORT`` of a cluster's head, ``auto`` for the one this machine is
            part of, or None for processes of this machine alone.
        workers: See :class:`Cluster`.
        device: See :class:`Cluster`.

    Raises:
        ImportError: Ray is not installed.
        OSError: There is no cluster at the address.
    """
    ray = import_ray()
    quiet: dict[str, Any] = dict(logging_level="ERROR", log_to_driver=False)
    with tempfile.TemporaryDirectory(prefix="fairmot-ray-") as folder:
        try:
            if address is not None:
                with _without_local_address():
                    ray.init(address=address, **quiet)
            else:
                with _temporary_files_in(folder):
                    ray.init(
                        address="local",
                        num_cpus=max(workers or 0, os.cpu_count() or 1),
                        include_dashboard=_has_dashboard(),
                        object_store_memory=_OBJECT_STORE,
                        _temp_dir=folder,
                        **quiet,
                    )
        except (ConnectionError, ValueError, RuntimeError) as error:
            if address is None:
                raise
            raise OSError(
                f"--ray {address}: no Ray cluster there ({error}); start one by: ray "
                "start --head; one that asks for a token needs RAY_AUTH_MODE=token"
            ) from error
        try:
            yield Cluster(workers, device)
        finally:
            ray.shutdown()


@contextmanager
def _temporary_files_in(folder: str) -> Iterator[None]:
    """Let processes that are started put theirs there, where a kill leaves none."""
    before = os.environ.get("TMPDIR")
    os.environ["TMPDIR"] = folder
    try:
        yield
    finally:
        del os.environ["TMPDIR"]
        if before is not None:
            os.environ["TMPDIR"] = before


@contextmanager
def _without_local_address() -> Iterator[None]:
    """A given address counts, whatever the environment says."""
    before = os.environ.pop("RAY_ADDRESS", None)
    try:
        yield
    finally:
        if before is not None:
            os.environ["RAY_ADDRESS"] = before


def _has_dashboard() -> bool:
    """Whether ``ray[default]`` is installed."""
    with suppress(ImportError):
        import aiohttp_cors  # noqa: F401

        return True
    return False
