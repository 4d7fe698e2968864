from .backends import is_exported, open_exported
from .exported_fairmot import ExportedFairMOT, exported_config

__all__ = ["ExportedFairMOT", "exported_config", "is_exported", "open_exported"]
