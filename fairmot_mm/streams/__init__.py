from .sinks import ResultsSink, VideoSink
from .sources import DEFAULT_FRAME_RATE, open_source
from .threads import read_ahead, write_behind
from .video_writer import VideoWriter

__all__ = [
    "DEFAULT_FRAME_RATE",
    "ResultsSink",
    "VideoSink",
    "VideoWriter",
    "open_source",
    "read_ahead",
    "write_behind",
]
