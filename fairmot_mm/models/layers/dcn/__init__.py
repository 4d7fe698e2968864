from .cpu_operator import sampled_deform_conv2d
from .dcn_v2 import DCNv2

__all__ = ["DCNv2", "sampled_deform_conv2d"]
