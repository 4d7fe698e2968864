import pytest
import torch

from fairmot_mm.models import DCNv2, DLANeck

CHANNELS = (16, 32, 64, 128, 256, 512)


def maps(first: int = 0) -> list[torch.Tensor]:
    return [torch.randn(2, CHANNELS[i], 64 >> i, 96 >> i) for i in range(first, 6)]


def test_one_map_of_stride_four():
    (out,) = DLANeck()(maps())
    assert out.shape == (2, 64, 16, 24)


def test_sixteen_deformable_convolutions_or_none():
    assert sum(isinstance(m, DCNv2) for m in DLANeck().modules()) == 16
    plain = DLANeck(use_dcn=False)
    assert not any(isinstance(m, DCNv2) for m in plain.modules())
    assert plain(maps())[0].shape == (2, 64, 16, 24)


def test_finer_levels_may_be_left_out():
    neck = DLANeck().eval()
    levels = maps()
    assert torch.equal(neck(levels)[0], neck(levels[2:])[0])


def test_every_parameter_gets_a_gradient():
    neck = DLANeck()
    neck(maps())[0].sum().backward()
    assert all(p.grad is not None for p in neck.parameters())


def test_wrong_number_of_maps_is_named():
    with pytest.raises(ValueError, match=r"3 maps came in.*built for 6"):
        DLANeck()(maps(3))


def test_wrong_levels_are_named():
    with pytest.raises(ValueError, match="end_level=3"):
        DLANeck(start_level=2, end_level=3)
