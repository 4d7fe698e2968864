"""Stand-in for MMCV's compiled operators where they were not compiled.

MMDetection imports ``mmcv.ops`` without a guard, which fails when ``mmcv._ext`` is
absent. FairMOT needs none of these operators. While MMDetection is being imported, a
module whose operators raise when they are *called* takes the place of ``mmcv._ext``;
afterwards ``import mmcv.ops`` fails as it does without this plugin.
"""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from types import ModuleType

_EXTENSION = "mmcv._ext"
# The stand-in and what was imported on top of it. The modules of `mmcv.ops` register
# their classes, so they must not be executed twice.
_hidden: dict[str, ModuleType] = {}


class _MissingOperators(ModuleType):
    """Module whose every public attribute is an operator that raises when called."""

    def __getattr__(self, name: str) -> Callable:
        # Dunder names are probed by inspect, pickle and the import system, which
        # take any answer at face value.
        if name.startswith("__"):
            raise AttributeError(name)

        def missing(*_: object, **__: object) -> None:
            raise RuntimeError(
                f"the MMCV operator '{name}' is not compiled in this environment. "
                "FairMOT does not need it, the component that called it does: "
                "install an mmcv with compiled operators "
                "(MMCV_WITH_OPS=1 pip install --no-binary :all: onedl-mmcv), "
                "or use a component without it."
            )

        missing.__name__ = name
        return missing


@contextmanager
def importable_operators() -> Iterator[None]:
    """Make ``mmcv.ops`` importable for as long as the context lasts.

    Compiled operators are never touched.

    Raises:
        ModuleNotFoundError: If MMCV itself is not installed.
    """
    if find_spec("mmcv") is None:
        raise ModuleNotFoundError(
            "mmcv is not installed: pip install 'fairmot_mm[mm]' brings MMEngine, "
            "MMCV and MMDetection"
        )
    if _EXTENSION in sys.modules or find_spec(_EXTENSION) is not None:
        yield
        return
    if not _hidden:
        _hidden[_EXTENSION] = _MissingOperators(_EXTENSION)
        _hidden[_EXTENSION].__spec__ = ModuleSpec(_EXTENSION, loader=None)
    sys.modules.update(_hidden)
    try:
        yield
    finally:
        for name in [*sys.modules]:
            if name == _EXTENSION or f"{name}.".startswith("mmcv.ops."):
                _hidden[name] = sys.modules.pop(name)
        for name in ("ops", "_ext"):  # bound to the package by the import system
            vars(sys.modules["mmcv"]).pop(name, None)
