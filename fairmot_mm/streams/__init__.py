from .scaling import open_scaled
from .sinks import ResultsSink, VideoSink
from .sources import open_source
from .threads import read_ahead, write_behind
from .video_writer import VideoWriter

__all__ = [
    "ResultsSink",
    "VideoSink",
    "VideoWriter",
    "open_scaled",
    "open_source",
    "read_ahead",
    "write_behind",
]
