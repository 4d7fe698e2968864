from .frame import Frame
from .reader import StreamReader
from .scaling import open_scaled
from .sinks import ResultsSink, VideoSink
from .sources import Stream, StreamLost, StreamSettings, open_source, open_stream
from .threads import read_ahead, write_behind
from .video_writer import VideoWriter

__all__ = [
    "Frame",
    "ResultsSink",
    "Stream",
    "StreamLost",
    "StreamReader",
    "StreamSettings",
    "VideoSink",
    "VideoWriter",
    "open_scaled",
    "open_source",
    "open_stream",
    "read_ahead",
    "write_behind",
]
