from .checkpoint_hook import SafeCheckpointHook
from .logger_hook import MasterLoggerHook
from .track_video_hook import TrackVideoHook

__all__ = ["MasterLoggerHook", "SafeCheckpointHook", "TrackVideoHook"]
