from itertools import pairwise

import pytest
import torch
from mmengine.optim import build_optim_wrapper
from torch import nn
from torch.nn import functional as F

from fairmot_mm.engine import BFloat16OptimWrapper


def build(model: nn.Module, **options) -> BFloat16OptimWrapper:
    return build_optim_wrapper(
        model,
        dict(
            type="BFloat16OptimWrapper", optimizer=dict(type="SGD", lr=0.2), **options
        ),
    )


def test_trains_under_bfloat16():
    torch.manual_seed(0)
    model = nn.Linear(4, 2)
    wrapper = build(model)
    assert isinstance(wrapper, BFloat16OptimWrapper)
    inputs = torch.randn(64, 4)
    target = inputs @ torch.tensor([[1.0, -1], [0.5, 2], [0, 1], [-2, 0]])
    losses = []
    for _ in range(50):
        with wrapper.optim_context(model):
            out = model(inputs)
        assert out.dtype == torch.bfloat16
        loss = F.mse_loss(out.float(), target)
        wrapper.update_params(loss)
        losses.append(loss.item())
    assert losses[0] > 1
    assert losses[-1] < 0.01
    # The weights themselves stay in full precision.
    assert all(p.dtype == torch.float32 for p in model.parameters())
    assert not torch.equal(model.weight, model.weight.bfloat16().float())


def test_autocast_ends_with_the_context():
    model = nn.Linear(4, 2)
    wrapper = build(model)
    with wrapper.optim_context(model):
        assert torch.is_autocast_enabled("cpu")
        assert torch.get_autocast_dtype("cpu") == torch.bfloat16
    assert not torch.is_autocast_enabled("cpu")
    assert model(torch.randn(1, 4)).dtype == torch.float32


def test_autocast_ends_with_an_error():
    model = nn.Linear(4, 2)
    wrapper = build(model)
    with pytest.raises(ZeroDivisionError), wrapper.optim_context(model):
        raise ZeroDivisionError
    assert not torch.is_autocast_enabled("cpu")


def test_gradients_accumulate():
    model = nn.Linear(4, 2)
    wrapper = build(model, accumulative_counts=2)
    wrapper.initialize_count_status(model, 0, 4)
    weights = [model.weight.detach().clone()]
    for _ in range(4):
        with wrapper.optim_context(model):
            loss = model(torch.ones(1, 4)).float().square().sum()
        wrapper.update_params(loss)
        weights.append(model.weight.detach().clone())
    changed = [not torch.equal(a, b) for a, b in pairwise(weights)]
    assert changed == [False, True, False, True]
