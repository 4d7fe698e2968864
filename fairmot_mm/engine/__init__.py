from .hooks import MasterLoggerHook, SafeCheckpointHook, TrackVideoHook
from .loops import FairMOTIterTrainLoop, FairMOTTrainLoop, FairMOTValLoop
from .mixed_precision import BFloat16OptimWrapper

__all__ = [
    "BFloat16OptimWrapper",
    "FairMOTIterTrainLoop",
    "FairMOTTrainLoop",
    "FairMOTValLoop",
    "MasterLoggerHook",
    "SafeCheckpointHook",
    "TrackVideoHook",
]
