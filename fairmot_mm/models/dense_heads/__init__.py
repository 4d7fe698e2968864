from .center_targets import CenterTargets, center_targets
from .fairmot_head import FairMOTHead

__all__ = ["CenterTargets", "FairMOTHead", "center_targets"]
