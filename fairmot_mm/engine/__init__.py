from .amp import BFloat16OptimWrapper
from .track_video_hook import TrackVideoHook

__all__ = ["BFloat16OptimWrapper", "TrackVideoHook"]
