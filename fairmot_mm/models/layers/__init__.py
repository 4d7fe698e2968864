from .bilinear import BilinearUpsample
from .dcn import DCNv2, sampled_deform_conv2d

__all__ = ["BilinearUpsample", "DCNv2", "sampled_deform_conv2d"]
