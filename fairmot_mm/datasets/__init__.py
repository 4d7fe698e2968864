from .annotated_video_dataset import AnnotatedVideoDataset
from .frame_dataset import FrameDataset
from .frame_pair_sampler import FramePairSampler
from .joint_dataset import JointDataset
from .mot_video_dataset import MOTVideoDataset
from .sources.bdd100k import BDD100KFrameDataset
from .sources.coco_video import COCOVideoFrameDataset
from .sources.crowdhuman import CrowdHumanFrameDataset
from .sources.footage import FootageFrameDataset
from .sources.jde import JDEFrameDataset
from .sources.kitti import KITTIFrameDataset
from .sources.mot import MOTFrameDataset
from .sources.visdrone import VisDroneFrameDataset
from .transforms.augmentation import RandomBoxAffine, RandomSaturationValue
from .transforms.formatting import PackTrackTestInputs, PackTrackTrainInputs
from .transforms.letterbox import Letterbox
from .transforms.loading import CheckedLoadImageFromFile
from .transforms.mixing import MixUp, Mosaic
from .video_sampler import VideoSampler

__all__ = [
    "AnnotatedVideoDataset",
    "BDD100KFrameDataset",
    "COCOVideoFrameDataset",
    "CheckedLoadImageFromFile",
    "CrowdHumanFrameDataset",
    "FootageFrameDataset",
    "FrameDataset",
    "FramePairSampler",
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
