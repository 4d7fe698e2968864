from .hooks import MasterLoggerHook, TrackVideoHook
from .mixed_precision import BFloat16OptimWrapper

__all__ = ["BFloat16OptimWrapper", "MasterLoggerHook", "TrackVideoHook"]
