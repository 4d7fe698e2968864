from .bilinear import BilinearUpsample
from .deform_conv import DCNv2, gathered_deform_conv2d

__all__ = ["BilinearUpsample", "DCNv2", "gathered_deform_conv2d"]
