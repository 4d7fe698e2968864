from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fairmot_mm.checkpoints import convert_fairmot_checkpoint, load_for_tracking

__all__ = ["convert_fairmot_checkpoint", "load_for_tracking"]


def __getattr__(name: str) -> object:
    """Import PyTorch no sooner than one of these is asked for."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from fairmot_mm import checkpoints

    return getattr(checkpoints, name)
