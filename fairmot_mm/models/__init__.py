from .backbones.dla import DLANet
from .dense_heads.fairmot_head import FairMOTHead
from .layers import DCNv2
from .losses.size_iou_loss import SizeIoULoss
from .losses.task_weighting import FixedWeighting, UncertaintyWeighting
from .mot.fairmot import FairMOT
from .necks.concat_neck import ConcatNeck
from .necks.csp_neck import CSPNeck
from .necks.deconv_fpn_neck import DeconvFPNNeck
from .necks.deconv_neck import DeconvNeck
from .necks.dla_neck import DLANeck
from .reid.colour_embedding_head import ColourEmbeddingHead
from .reid.embedding_head import EmbeddingHead
from .trackers import JDETracker, SparseFlowMotion

__all__ = [
    "CSPNeck",
    "ColourEmbeddingHead",
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
    "SizeIoULoss",
    "SparseFlowMotion",
    "UncertaintyWeighting",
]
