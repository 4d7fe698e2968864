"""FairMOT multi-object tracking as a plugin for the MM toolboxes."""

from .utils import mmcv_ops

mmcv_ops.ensure_importable()  # before anything imports mmdet

from . import datasets, engine, evaluation, models  # noqa: E402
from .version import __version__  # noqa: E402

__all__ = ["__version__", "datasets", "engine", "evaluation", "models"]
