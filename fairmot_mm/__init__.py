"""FairMOT multi-object tracking as a plugin for the MM toolboxes.

Nothing is imported yet: MMEngine imports :mod:`fairmot_mm.registry` when the scope is
first named, and a registry its components when one of them is first looked for.
"""

from .utils import toolbox_imports
from .version import __version__

toolbox_imports.arrange()

__all__ = ["__version__"]
