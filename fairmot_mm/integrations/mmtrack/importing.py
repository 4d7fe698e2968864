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
from unittest.mock import patch

import mmcv
import mmdet
import mmdet.models.layers
import mmdet.utils
import mmengine.registry
from mmengine.registry import Registry

from fairmot_mm.utils.mmcv_ops import importable_operators

TESTED_VERSION = "1.0.0rc1"  # the last one of MMTracking
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
    if version != TESTED_VERSION:
        raise ImportError(
            f"mmtrack {version} is installed, but only {TESTED_VERSION} was tested: "
            f"{INSTALLATION}"
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
    layers = mmdet.models.layers
    transformer = getattr(layers, "Transformer", _MissingTransformer)
    # MMTracking takes MMCV below 2.0.0 and MMDetection below 3.0.0, MMClassification,
    # which its ReID models are built on, MMCV from 2.0.0rc4 on.
    with (
        patch.object(mmcv, "__version__", "2.0.0rc4"),
        patch.object(mmdet, "__version__", "3.0.0rc6"),
        patch.object(layers, "Transformer", transformer, create=True),
    ):
        yield


@contextmanager
def _undone_on_failure() -> Iterator[None]:
    """Unload partly imported packages, so that they can be imported again."""
    new = [package for package in _PACKAGES if package not in sys.modules]
    try:
        yield
    except BaseException:
        for name in [*sys.modules]:
            if name.partition(".")[0] in new:
                del sys.modules[name]
        for registry in vars(mmengine.registry).values():
            if isinstance(registry, Registry):
                for package in new:
                    registry.children.pop(package, None)
        raise
