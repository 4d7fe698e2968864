"""FairMOT multi-object tracking as a plugin for the MM toolboxes."""

from .utils.mmcv_ops import importable_operators

with importable_operators():  # MMDetection is imported here
    from . import datasets, engine, evaluation, models
from .version import __version__

__all__ = ["__version__", "datasets", "engine", "evaluation", "models"]
