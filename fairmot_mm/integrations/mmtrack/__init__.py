"""FairMOT inside MMTracking 1.x, and MMTracking's parts inside FairMOT.

Importing this package makes ``mmtrack`` importable with toolboxes newer than it
accepts and registers components that follow its conventions. In a config:
``custom_imports = dict(imports=['fairmot_mm.integrations.mmtrack'])``.
"""

from .importing import import_mmtrack

import_mmtrack()  # before anything below imports it

from .fairmot import MMTrackFairMOT  # noqa: E402
from .frame_rate import LoadFrameRate  # noqa: E402
from .jde_tracker import MMTrackJDETracker  # noqa: E402

__all__ = ["LoadFrameRate", "MMTrackFairMOT", "MMTrackJDETracker"]
