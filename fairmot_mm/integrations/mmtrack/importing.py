"""Import MMTracking with versions of MMCV and MMDetection newer than it accepts.

MMTracking works with them but checks their versions at import. While it is being
imported, it is shown the versions it expects.
"""

import runpy
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import mmcv
import mmdet
import mmdet.models.layers
import mmdet.utils
import mmengine.registry
from mmengine.registry import Registry

from fairmot_mm.utils.mmcv_ops import importable_operators

# Tested versions; MMTracking's development ended with the last.
TESTED_VERSIONS = ("1.0.0rc1",)

# Accepted by MMTracking (MMCV below 2.0.0, MMDetection below 3.0.0) and by
# MMClassification, which its ReID models are built on (MMCV from 2.0.0rc4 on).
_PRESENTED = {mmcv: "2.0.0rc4", mmdet: "3.0.0rc6"}

_PACKAGES = ("mmtrack", "mmcls")

# As in tools/setup_env.sh.
INSTALLATION = (
    "pip install --no-deps mmtrack==1.0.0rc1 mmcls==1.0.0rc6 && pip install seaborn "
    "scikit-learn attributee model-index markdown einops (--no-deps, because the "
    "versions they pin predate Python 3.11)"
)


class _MissingTransformer:
    """Base class for STARK's transformer, which MMDetection 3 no longer has."""

    def __init__(self, *args: object, **kwargs: object) -> None:
        raise RuntimeError(
            "STARK, MMTracking's single-object tracker, needs "
            "mmdet.models.layers.Transformer, which MMDetection "
            f"{mmdet.__version__} does not have: use MMDetection 3.0.0rc6 for it"
        )


def import_mmtrack() -> None:
    """Import all of MMTracking, so that its registries are filled.

    Afterwards the toolboxes' versions and names are restored and, if the import failed,
    the loaded modules and registries as well.

    Raises:
        ModuleNotFoundError: MMTracking, or a package it needs, is not installed.
        ImportError: Its version was not tested with this bridge.
    """
    version = _installed_version()
    if version not in TESTED_VERSIONS:
        raise ImportError(
            f"mmtrack {version} is installed, but only "
            f"{', '.join(TESTED_VERSIONS)} was tested: {INSTALLATION}"
        )
    # Before, so that no module of MMDetection reads a presented version.
    mmdet.utils.register_all_modules(init_default_scope=False)
    try:
        with _undone_on_failure(), _presented(), importable_operators():
            from mmtrack.utils import register_all_modules

            register_all_modules(init_default_scope=False)
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            f"MMTracking needs {error.name}, which is not installed: {INSTALLATION}",
            name=error.name,
        ) from error


def _installed_version() -> str:
    """Version of MMTracking, read without importing it."""
    spec = find_spec("mmtrack")
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError(
            f"MMTracking is not installed: {INSTALLATION}", name="mmtrack"
        )
    path = Path(spec.origin).with_name("version.py")
    found = runpy.run_path(str(path)) if path.is_file() else {}
    return found.get("__version__", f"of unknown version at {spec.origin}")


@contextmanager
def _presented() -> Iterator[None]:
    """Show the versions MMTracking accepts, and the one name it lacks."""
    real = {module: module.__version__ for module in _PRESENTED}
    layers = mmdet.models.layers
    lacks_transformer = not hasattr(layers, "Transformer")
    try:
        for module, version in _PRESENTED.items():
            module.__version__ = version
        if lacks_transformer:
            layers.Transformer = _MissingTransformer
        yield
    finally:
        for module, version in real.items():
            module.__version__ = version
        if lacks_transformer:
            del layers.Transformer


@contextmanager
def _undone_on_failure() -> Iterator[None]:
    """Unload partly imported packages, so that they can be imported again."""
    new = [package for package in _PACKAGES if package not in sys.modules]
    try:
        yield
    except BaseException:
        for package in new:
            for name in [*sys.modules]:
                if name == package or name.startswith(f"{package}."):
                    del sys.modules[name]
            for registry in vars(mmengine.registry).values():
                if isinstance(registry, Registry):
                    registry.children.pop(package, None)
        raise
