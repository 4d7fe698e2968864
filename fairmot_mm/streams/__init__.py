from .counting import (
    Counter,
    CountsSink,
    Line,
    Zone,
    parse_line,
    parse_zone,
    to_supervision,
)
from .fragmented_video import FragmentedVideoWriter
from .frame import Frame
from .records import CsvSink, JsonLinesSink, ParquetSink, TrackRecords
from .rotation import RotatingSink, Sink, parse_duration
from .scaling import open_scaled
from .sinks import ResultsSink, StreamVideoSink, VideoSink, open_sink
from .sources import open_source
from .threads import read_ahead, write_behind
from .video_writer import VideoWriter

__all__ = [
    "Counter",
    "CountsSink",
    "CsvSink",
    "FragmentedVideoWriter",
    "Frame",
    "JsonLinesSink",
    "Line",
    "ParquetSink",
    "ResultsSink",
    "RotatingSink",
    "Sink",
    "StreamVideoSink",
    "TrackRecords",
    "VideoSink",
    "VideoWriter",
    "Zone",
    "open_scaled",
    "open_sink",
    "open_source",
    "parse_duration",
    "parse_line",
    "parse_zone",
    "read_ahead",
    "to_supervision",
    "write_behind",
]
