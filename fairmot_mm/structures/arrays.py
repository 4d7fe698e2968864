from collections.abc import Sequence

import numpy as np
import torch

ArrayLike = np.ndarray | torch.Tensor | Sequence


def to_numpy(values: ArrayLike) -> np.ndarray:
    """Values as an array on the CPU, half precision as float32.

    NumPy has no bfloat16, and half precision is too coarse for pixels.
    """
    if isinstance(values, torch.Tensor):
        values = values.detach().cpu()
        half = values.is_floating_point() and values.dtype.itemsize < 4
        return (values.float() if half else values).numpy()
    values = np.asarray(values)
    return values.astype(np.float32) if values.dtype == np.float16 else values
