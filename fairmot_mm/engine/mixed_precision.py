from collections.abc import Iterator
from contextlib import contextmanager

import torch
from mmengine.optim import OptimWrapper
from torch import nn

from fairmot_mm.registry import OPTIM_WRAPPERS


@OPTIM_WRAPPERS.register_module()
class BFloat16OptimWrapper(OptimWrapper):
    """Mixed precision without a GPU: bfloat16 autocast, which needs no loss scaling.

    MMEngine's ``AmpOptimWrapper`` refuses to work on a CPU.
    """

    @contextmanager
    def optim_context(self, model: nn.Module) -> Iterator[None]:
        """Run the forward pass under autocast."""
        device = next(model.parameters()).device.type
        with super().optim_context(model), torch.autocast(device, torch.bfloat16):
            yield


def half_precision(device: torch.device | str) -> torch.dtype:
    """What a device computes fast: bfloat16, or float16 on GPUs that lack it.

    NVIDIA's have bfloat16 from compute capability 8 on; before, it is emulated.
    """
    device = torch.device(device)
    if device.type == "cuda" and torch.cuda.get_device_capability(device)[0] < 8:
        return torch.float16
    return torch.bfloat16
