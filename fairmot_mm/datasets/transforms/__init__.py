from .augmentation import RandomBoxAffine, RandomSaturationValue, warp_boxes
from .formatting import PackTrackTestInputs, PackTrackTrainInputs
from .letterbox import Letterbox
from .loading import CheckedLoadImageFromFile
from .mixing import MixUp, Mosaic

__all__ = [
    "CheckedLoadImageFromFile",
    "Letterbox",
    "MixUp",
    "Mosaic",
    "PackTrackTestInputs",
    "PackTrackTrainInputs",
    "RandomBoxAffine",
    "RandomSaturationValue",
    "warp_boxes",
]
