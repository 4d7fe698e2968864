from .augmentation import RandomBoxAffine, RandomSaturationValue, warp_boxes
from .formatting import PackTrackTrainInputs
from .letterbox import Letterbox, letterbox
from .loading import CheckedLoadImageFromFile

__all__ = [
    "CheckedLoadImageFromFile",
    "Letterbox",
    "PackTrackTrainInputs",
    "RandomBoxAffine",
    "RandomSaturationValue",
    "letterbox",
    "warp_boxes",
]
