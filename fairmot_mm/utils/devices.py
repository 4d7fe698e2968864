"""Which device computes."""

import logging
from functools import cache

from mmengine.device import get_device
from mmengine.logging import print_log


@cache
def default_device() -> str:
    """MMEngine's choice for this machine, except Apple's GPU; that is logged once.

    Targets need float64, which ``mps`` does not have, and deformable convolutions have
    no backward pass there.
    """
    device = get_device()
    if device != "mps":
        return device
    print_log(
        "Apple's GPU (mps) lacks operators that FairMOT needs: computing on the CPU",
        logger="current",
        level=logging.WARNING,
    )
    return "cpu"
