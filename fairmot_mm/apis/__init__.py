from .inference import inference_mot, init_model
from .streams import StreamSummary, track_streams
from .video import track_video

__all__ = [
    "StreamSummary",
    "inference_mot",
    "init_model",
    "track_streams",
    "track_video",
]
