import numpy as np
import pytest
import torch

from fairmot_mm.structures.arrays import to_numpy


@pytest.mark.parametrize(
    ("values", "dtype"),
    [
        ([1, 2], np.int64),
        (np.array([1, 2], np.float16), np.float32),
        (np.array([1, 2], np.int16), np.int16),
        (torch.tensor([1.0, 2.0], requires_grad=True), np.float32),
        (torch.tensor([1, 2], dtype=torch.bfloat16), np.float32),
        (torch.tensor([1, 2], dtype=torch.float16), np.float32),
        (torch.tensor([1, 2], dtype=torch.uint8), np.uint8),
    ],
)
def test_values_keep_their_type_unless_it_is_half_precision(values, dtype):
    array = to_numpy(values)
    assert array.dtype == dtype
    assert array.tolist() == [1, 2]
