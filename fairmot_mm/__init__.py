"""FairMOT multi-object tracking as a plugin for the MM toolboxes.

Nothing is imported yet: MMEngine imports :mod:`fairmot_mm.registry` when the scope is
first named, and a registry its components when one of them is first looked for.
"""

from importlib import import_module
from types import ModuleType

from .utils import toolbox_imports
from .version import __version__

toolbox_imports.arrange()

_PACKAGES = ("apis", "datasets", "engine", "evaluation", "models", "registry")

__all__ = ["__version__", *_PACKAGES]


def __getattr__(name: str) -> ModuleType:
    if name not in _PACKAGES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return import_module(f"{__name__}.{name}")
