from .amp import BFloat16OptimWrapper
from .logger_hook import MasterLoggerHook
from .track_video_hook import TrackVideoHook

__all__ = ["BFloat16OptimWrapper", "MasterLoggerHook", "TrackVideoHook"]
