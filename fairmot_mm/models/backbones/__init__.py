from .dla import DLANet

__all__ = ["DLANet"]
