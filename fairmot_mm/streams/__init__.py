from .sources import DEFAULT_FRAME_RATE, open_source, read_ahead
from .video_writer import VideoWriter

__all__ = ["DEFAULT_FRAME_RATE", "VideoWriter", "open_source", "read_ahead"]
