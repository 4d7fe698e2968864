from .inference import inference_mot, init_model
from .video import track_video

__all__ = ["inference_mot", "init_model", "track_video"]
