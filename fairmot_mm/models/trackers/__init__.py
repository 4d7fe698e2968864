from .camera_motion import SparseFlowMotion
from .jde_tracker import JDETracker

__all__ = ["JDETracker", "SparseFlowMotion"]
