"""What has to be arranged before parts of MMDetection are imported.

Done when Python is about to import such a part, whoever asks for it, so that importing
``fairmot_mm`` alone imports none of the toolboxes.
"""

import io
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
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


class _ArrangedLoader(SourceFileLoader):
    def exec_module(self, module: ModuleType) -> None:
        with _ARRANGEMENTS[module.__name__]():
            super().exec_module(module)


class _Finder(MetaPathFinder):
    """Finds the modules in ``_ARRANGEMENTS`` where Python does."""

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None,
        target: ModuleType | None = None,
    ) -> ModuleSpec | None:
        if fullname not in _ARRANGEMENTS:
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is not None and spec.origin is not None:
            spec.loader = _ArrangedLoader(fullname, spec.origin)
        return spec


def arrange() -> None:
    """Arrange the imports to come."""
    sys.meta_path.insert(0, _Finder())
    for message in _WARNINGS:
        warnings.filterwarnings("ignore", message, UserWarning)
