from .backbones import DLANet
from .dense_heads import FairMOTHead
from .layers import DCNv2
from .losses import FixedWeighting, UncertaintyWeighting
from .mot import FairMOT
from .necks import DLANeck
from .reid import EmbeddingHead
from .trackers import JDETracker

__all__ = [
    "DCNv2",
    "DLANeck",
    "DLANet",
    "EmbeddingHead",
    "FairMOT",
    "FairMOTHead",
    "FixedWeighting",
    "JDETracker",
    "UncertaintyWeighting",
]
