from .counting import (
    Counter,
    CountsSink,
    Line,
    Zone,
    parse_line,
    parse_zone,
    to_supervision,
)
from .decoding import is_address, is_camera
from .fragmented_video import FragmentedVideoWriter
from .frame import Frame
from .page import PageServer
from .reader import StreamReader
from .records import CsvSink, JsonLinesSink, ParquetSink, TrackRecords
from .rotation import RotatingSink, Sink, parse_duration, sink_at
from .scaling import open_scaled
from .sinks import ResultsSink, StreamVideoSink, VideoSink, open_sink
from .sources import Stream, StreamLost, StreamSettings, open_source, open_stream
from .threads import read_ahead, write_behind
from .video_writer import VideoWriter
from .view import StreamView

__all__ = [
    "Counter",
    "CountsSink",
    "CsvSink",
    "FragmentedVideoWriter",
    "Frame",
    "JsonLinesSink",
    "Line",
    "PageServer",
    "ParquetSink",
    "ResultsSink",
    "RotatingSink",
    "Sink",
    "Stream",
    "StreamLost",
    "StreamReader",
    "StreamSettings",
    "StreamVideoSink",
    "StreamView",
    "TrackRecords",
    "VideoSink",
    "VideoWriter",
    "Zone",
    "is_address",
    "is_camera",
    "open_scaled",
    "open_sink",
    "open_source",
    "open_stream",
    "parse_duration",
    "parse_line",
    "parse_zone",
    "read_ahead",
    "sink_at",
    "to_supervision",
    "write_behind",
]
