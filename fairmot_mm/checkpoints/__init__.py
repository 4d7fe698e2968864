from .conversion import convert_fairmot_checkpoint
from .files import read_checkpoint
from .loading import load_for_tracking

__all__ = ["convert_fairmot_checkpoint", "load_for_tracking", "read_checkpoint"]
