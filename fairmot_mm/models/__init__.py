from .backbones import DLANet
from .dense_heads import FairMOTHead
from .layers import DCNv2
from .losses import FixedWeighting, UncertaintyWeighting
from .mot import FairMOT
from .necks import ConcatNeck, CSPNeck, DeconvFPNNeck, DeconvNeck, DLANeck
from .reid import EmbeddingHead
from .trackers import JDETracker, SparseFlowMotion

__all__ = [
    "CSPNeck",
    "ConcatNeck",
    "DCNv2",
    "DLANeck",
    "DLANet",
    "DeconvFPNNeck",
    "DeconvNeck",
    "EmbeddingHead",
    "FairMOT",
    "FairMOTHead",
    "FixedWeighting",
    "JDETracker",
    "SparseFlowMotion",
    "UncertaintyWeighting",
]
