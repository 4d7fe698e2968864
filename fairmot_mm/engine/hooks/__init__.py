from .checkpoint_hook import SafeCheckpointHook
from .dump_detections_hook import DumpDetectionsHook
from .logger_hook import MasterLoggerHook
from .track_video_hook import TrackVideoHook
from .training_view_hooks import TrainingCurvesHook, ValidationSheetHook

__all__ = [
    "DumpDetectionsHook",
    "MasterLoggerHook",
    "SafeCheckpointHook",
    "TrackVideoHook",
    "TrainingCurvesHook",
    "ValidationSheetHook",
]
