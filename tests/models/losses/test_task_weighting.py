import math

import pytest
import torch

from fairmot_mm.models import FixedWeighting, UncertaintyWeighting


def test_uncertainty_weighting_by_hand():
    weighting = UncertaintyWeighting()
    loss = weighting(torch.tensor(4.0), torch.tensor(3.0))
    expected = 0.5 * (math.exp(1.85) * 4 + math.exp(1.05) * 3 - 1.85 - 1.05)
    assert loss.shape == ()
    assert loss.item() == pytest.approx(expected, rel=1e-6)
    loss.backward()
    s_det = 0.5 * (1 - math.exp(1.85) * 4)
    s_id = 0.5 * (1 - math.exp(1.05) * 3)
    assert weighting.s_det.grad.item() == pytest.approx(s_det, rel=1e-6)
    assert weighting.s_id.grad.item() == pytest.approx(s_id, rel=1e-6)


def test_fixed_weighting_by_hand():
    loss = FixedWeighting()(torch.tensor(4.0), torch.tensor(3.0))
    assert loss.item() == pytest.approx(4.3)
