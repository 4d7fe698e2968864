"""Helpers; the functions of ``fairmot_mm.checkpoints`` are reachable from here, too."""

_FROM_CHECKPOINTS = ("convert_fairmot_checkpoint", "load_for_tracking")


def __getattr__(name: str) -> object:
    if name not in _FROM_CHECKPOINTS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from fairmot_mm import checkpoints  # they need PyTorch

    return getattr(checkpoints, name)
