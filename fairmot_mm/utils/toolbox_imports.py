"""What has to be arranged before parts of MMDetection are imported.

Done when Python is about to import such a part, whoever asks for it, so that importing
``fairmot_mm`` alone imports none of the toolboxes.
"""

import io
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType

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


_ARRANGEMENTS = {
    "mmdet.models": importable_operators,
    "mmdet.datasets": _without_onedl,
}


class _Arranger(MetaPathFinder):
    """Wraps the execution of the modules in ``_ARRANGEMENTS``."""

    def find_spec(
        self, name: str, path: object = None, target: object = None
    ) -> ModuleSpec | None:
        if name not in _ARRANGEMENTS:
            return None
        spec = PathFinder.find_spec(name, path)
        if spec is None or spec.loader is None:
            return None
        execute = spec.loader.exec_module

        def exec_module(module: ModuleType) -> None:
            with _ARRANGEMENTS[name]():
                execute(module)

        spec.loader.exec_module = exec_module
        return spec


def arrange() -> None:
    """Arrange the imports to come."""
    sys.meta_path.insert(0, _Arranger())
    for message in _WARNINGS:
        warnings.filterwarnings("ignore", message, UserWarning)
