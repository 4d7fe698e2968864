from .bilinear import BilinearUpsample
from .deform_conv import DCNv2
from .sampled_deform_conv import sampled_deform_conv2d

__all__ = ["BilinearUpsample", "DCNv2", "sampled_deform_conv2d"]
