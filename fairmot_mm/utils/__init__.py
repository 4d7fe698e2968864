from .checkpoint import load_for_tracking
from .published_checkpoint import convert_fairmot_checkpoint

__all__ = ["convert_fairmot_checkpoint", "load_for_tracking"]
