from .track_drawer import TrackDrawer, VideoWriter

__all__ = ["TrackDrawer", "VideoWriter"]
