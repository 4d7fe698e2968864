from .bdd100k import BDD100KFrameDataset
from .coco_video import COCOVideoFrameDataset
from .crowdhuman import CrowdHumanFrameDataset
from .footage import FootageFrameDataset
from .jde import JDEFrameDataset
from .kitti import KITTIFrameDataset
from .mot import MOTFrameDataset
from .visdrone import VisDroneFrameDataset

__all__ = [
    "BDD100KFrameDataset",
    "COCOVideoFrameDataset",
    "CrowdHumanFrameDataset",
    "FootageFrameDataset",
    "JDEFrameDataset",
    "KITTIFrameDataset",
    "MOTFrameDataset",
    "VisDroneFrameDataset",
]
