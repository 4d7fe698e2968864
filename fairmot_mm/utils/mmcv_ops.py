"""Stand-in for MMCV's compiled operators where they were not compiled.

MMDetection imports ``mmcv.ops`` unconditionally in one place, which fails when
``mmcv._ext`` is absent. FairMOT needs none of these operators, so a module whose
operators complain only when they are *called* lets everything else import.
"""

import sys
from collections.abc import Callable
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from types import ModuleType


class _MissingOperators(ModuleType):
    """Module whose every public attribute is an operator that explains itself."""

    def __getattr__(self, name: str) -> Callable:
        # Dunder names are probed by inspect, pickle and the import system, which
        # take any answer at face value.
        if name.startswith("__"):
            raise AttributeError(name)

        def missing(*args, **kwargs):
            raise RuntimeError(
                f"the MMCV operator '{name}' is not compiled in this environment. "
                "FairMOT does not need it, the component that called it does: "
                "install an mmcv with compiled operators "
                "(MMCV_WITH_OPS=1 pip install --no-binary :all: onedl-mmcv), "
                "or use a component without it."
            )

        missing.__name__ = name
        return missing


def ensure_importable() -> bool:
    """Make ``mmcv.ops`` importable, whether or not its operators are compiled.

    Acts only when ``mmcv`` is installed without ``mmcv._ext``; compiled operators
    are never touched.

    Returns:
        bool: Whether the stand-in is in place.

    Raises:
        ModuleNotFoundError: If MMCV itself is not installed.
    """
    if find_spec("mmcv") is None:
        raise ModuleNotFoundError(
            "mmcv is not installed: pip install 'fairmot_mm[mm]' brings MMEngine, "
            "MMCV and MMDetection"
        )
    present = sys.modules.get("mmcv._ext")
    if present is None and find_spec("mmcv._ext") is None:
        module = _MissingOperators("mmcv._ext")
        module.__spec__ = ModuleSpec("mmcv._ext", loader=None)
        sys.modules["mmcv._ext"] = module
        return True
    return isinstance(present, _MissingOperators)
