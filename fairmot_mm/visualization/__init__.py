from .track_drawer import TrackDrawer

__all__ = ["TrackDrawer"]
