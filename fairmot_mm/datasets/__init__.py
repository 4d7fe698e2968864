from .mot_dataset import MOTFrameDataset, MOTVideoDataset
from .transforms import (
    CheckedLoadImageFromFile,
    Letterbox,
    PackTrackTrainInputs,
    RandomBoxAffine,
    RandomSaturationValue,
)
from .video_sampler import VideoSampler

__all__ = [
    "CheckedLoadImageFromFile",
    "Letterbox",
    "MOTFrameDataset",
    "MOTVideoDataset",
    "PackTrackTrainInputs",
    "RandomBoxAffine",
    "RandomSaturationValue",
    "VideoSampler",
]
