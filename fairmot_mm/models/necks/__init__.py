from .concat_neck import ConcatNeck
from .csp_neck import CSPNeck
from .deconv_fpn_neck import DeconvFPNNeck
from .deconv_neck import DeconvNeck
from .dla_neck import DLANeck

__all__ = ["CSPNeck", "ConcatNeck", "DLANeck", "DeconvFPNNeck", "DeconvNeck"]
