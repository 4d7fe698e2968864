import pytest
import torch
from torch.nn import functional as F

from fairmot_mm.models.layers import BilinearUpsample


@pytest.mark.parametrize("factor", [2, 4, 8])
def test_starts_as_bilinear_interpolation(factor):
    image = torch.randn(2, 3, 6, 7)
    expected = F.interpolate(image, scale_factor=factor, mode="bilinear")
    out = BilinearUpsample(3, factor)(image)
    # At the border one pads with zeros and the other repeats.
    inner = (..., slice(factor, -factor), slice(factor, -factor))
    assert torch.allclose(out[inner], expected[inner], atol=1e-6)
