from .annotated_video_dataset import AnnotatedVideoDataset
from .frame_dataset import FrameDataset
from .joint_dataset import JointDataset
from .mot_video_dataset import MOTVideoDataset
from .sources import (
    BDD100KFrameDataset,
    COCOVideoFrameDataset,
    CrowdHumanFrameDataset,
    FootageFrameDataset,
    JDEFrameDataset,
    KITTIFrameDataset,
    MOTFrameDataset,
    VisDroneFrameDataset,
)
from .transforms import (
    CheckedLoadImageFromFile,
    Letterbox,
    MixUp,
    Mosaic,
    PackTrackTestInputs,
    PackTrackTrainInputs,
    RandomBoxAffine,
    RandomSaturationValue,
)
from .video_sampler import VideoSampler

__all__ = [
    "AnnotatedVideoDataset",
    "BDD100KFrameDataset",
    "COCOVideoFrameDataset",
    "CheckedLoadImageFromFile",
    "CrowdHumanFrameDataset",
    "FootageFrameDataset",
    "FrameDataset",
    "JDEFrameDataset",
    "JointDataset",
    "KITTIFrameDataset",
    "Letterbox",
    "MOTFrameDataset",
    "MOTVideoDataset",
    "MixUp",
    "Mosaic",
    "PackTrackTestInputs",
    "PackTrackTrainInputs",
    "RandomBoxAffine",
    "RandomSaturationValue",
    "VideoSampler",
    "VisDroneFrameDataset",
]
