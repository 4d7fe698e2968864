from .fairmot import FairMOT

__all__ = ["FairMOT"]
