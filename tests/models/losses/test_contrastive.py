import math

import pytest
import torch

from fairmot_mm.models.losses.contrastive import supervised_contrastive_loss


def test_loss_of_three_embeddings_by_hand():
    unit = torch.tensor([[1.0, 0.0], [0.6, 0.8], [0.0, 1.0]])
    loss = supervised_contrastive_loss(unit, torch.tensor([5, 5, 2]), temperature=0.5)
    # Similarities over the temperature: 1.2 (same), 0 and 1.6 (others).
    first = math.log(math.exp(1.2) + math.exp(0.0)) - 1.2
    second = math.log(math.exp(1.2) + math.exp(1.6)) - 1.2
    assert loss.item() == pytest.approx((first + second) / 2, rel=1e-6)


@pytest.mark.parametrize("identities", [[], [3], [0, 1, 2]])
def test_nobody_who_occurs_twice_is_no_loss(identities):
    unit = torch.eye(3)[: len(identities)].requires_grad_()
    loss = supervised_contrastive_loss(unit, torch.tensor(identities).long())
    loss.backward()
    assert loss == 0
    assert not unit.grad.any()
