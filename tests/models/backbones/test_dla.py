import pytest
import torch
from torch import nn

from fairmot_mm.models import DLANet


def test_maps_have_the_strides_and_channels_of_dla34():
    maps = DLANet()(torch.randn(1, 3, 64, 96))
    assert [m.shape[1] for m in maps] == [16, 32, 64, 128, 256, 512]
    assert [m.shape[-2:] for m in maps] == [(64 >> i, 96 >> i) for i in range(6)]


def test_builds_no_deeper_than_asked():
    net = DLANet(out_indices=(2, 3))
    assert net.out_channels == (64, 128)
    assert not any(name.startswith("level4") for name, _ in net.named_parameters())
    # Nothing is left without a gradient, which distributed training would refuse.
    sum(m.sum() for m in net(torch.randn(1, 3, 32, 32))).backward()
    assert all(p.grad is not None for p in net.parameters())


def test_frozen_stages_neither_learn_nor_keep_statistics():
    net = DLANet(frozen_stages=1).train()
    assert not any(p.requires_grad for p in net.base_layer.parameters())
    assert not any(p.requires_grad for p in net.level1.parameters())
    assert all(p.requires_grad for p in net.level2.parameters())
    assert not net.level1.bn.training
    assert net.level2.root.bn.training


def test_norm_eval_keeps_all_statistics():
    net = DLANet(norm_eval=True).train()
    norms = [m for m in net.modules() if isinstance(m, nn.BatchNorm2d)]
    assert norms
    assert not any(m.training for m in norms)


def test_wrong_input_size_is_named():
    with pytest.raises(ValueError, match=r"288x162.*stride of 32"):
        DLANet()(torch.randn(1, 3, 162, 288))


@pytest.mark.parametrize("arguments", [dict(depth=18), dict(out_indices=(6,))])
def test_wrong_arguments_are_named(arguments):
    with pytest.raises(ValueError, match=next(iter(arguments))):
        DLANet(**arguments)
