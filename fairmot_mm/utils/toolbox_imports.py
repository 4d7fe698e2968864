"""What has to be arranged before MMDetection and what it needs are imported.

Done when Python is about to import a module of theirs, whoever asks for it, so that
importing ``fairmot_mm`` alone imports none of the toolboxes.
"""

import io
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stdout, suppress
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from types import ModuleType
from unittest.mock import patch

from .mmcv_ops import importable_operators

# Printed, not logged, on each import without an optional package nobody asked for.
_ONEDL = "Could not import OneDL. Skipping OneDL datasets."
# Beginnings of warnings about what a user of FairMOT cannot change: an optional package
# and the biases that the reference implementation's networks have.
_WARNINGS = (
    "faster_coco_eval is not installed",
    "Unnecessary conv bias before batch/instance norm",
)


@contextmanager
def _without_onedl() -> Iterator[None]:
    printed = io.StringIO()
    try:
        with redirect_stdout(printed):
            yield
    finally:
        for line in printed.getvalue().splitlines():
            if line != _ONEDL:
                print(line)


@contextmanager
def _without_cache_if_unwritable() -> Iterator[None]:
    """Let Numba compile anew in each process where it finds no place for its cache."""
    from numba.core.dispatcher import Dispatcher

    enable = Dispatcher.enable_caching

    def enable_if_writable(dispatcher: Dispatcher) -> None:
        with suppress(RuntimeError):
            enable(dispatcher)

    with patch.object(Dispatcher, "enable_caching", enable_if_writable):
        yield


# MMDetection imports MMCV's operators in many of its modules.
_PACKAGES = {"mmdet": importable_operators, "imgaug": _without_cache_if_unwritable}


class _ArrangedLoader(SourceFileLoader):
    def exec_module(self, module: ModuleType) -> None:
        with _PACKAGES[module.__name__.partition(".")[0]](), _without_onedl():
            super().exec_module(module)


class _Finder(MetaPathFinder):
    """Finds the modules of ``_PACKAGES`` where Python does."""

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None,
        target: ModuleType | None = None,
    ) -> ModuleSpec | None:
        if fullname.partition(".")[0] not in _PACKAGES:
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is not None and isinstance(spec.loader, SourceFileLoader):
            spec.loader = _ArrangedLoader(fullname, spec.loader.path)
        return spec


def arrange() -> None:
    """Arrange the imports to come."""
    sys.meta_path.insert(0, _Finder())
    for message in _WARNINGS:
        warnings.filterwarnings("ignore", message, UserWarning)
