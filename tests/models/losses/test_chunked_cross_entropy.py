import pytest
import torch
from torch.nn.functional import cross_entropy, linear

from fairmot_mm.models.losses import chunked_cross_entropy as module
from fairmot_mm.models.losses.chunked_cross_entropy import chunked_cross_entropy


def tensors(rows: int, classes: int) -> list[torch.Tensor]:
    torch.manual_seed(0)
    shapes = ((rows, 8), (classes, 8), (classes,))
    return [torch.randn(s, dtype=torch.double, requires_grad=True) for s in shapes]


@pytest.mark.parametrize("chunk", [1, 7, 20, 64])
@pytest.mark.parametrize("rows", [0, 1, 5])
@pytest.mark.parametrize("smoothing", [0.0, 0.3])
def test_equals_the_loss_over_all_logits(monkeypatch, chunk, rows, smoothing):
    monkeypatch.setattr(module, "CHUNK", chunk)
    features, weight, bias = given = tensors(rows, 20)
    target = torch.tensor([0, 19, 6, 7, 6])[:rows]
    results = []
    for loss in (
        cross_entropy(
            linear(*given), target, reduction="sum", label_smoothing=smoothing
        ),
        chunked_cross_entropy(features, weight, bias, target, smoothing),
    ):
        results.append([loss, *torch.autograd.grad(3 * loss, given)])
    for expected, found in zip(*results, strict=True):
        assert torch.allclose(found, expected, rtol=1e-10, atol=1e-12)


def test_large_logits_do_not_overflow(monkeypatch):
    monkeypatch.setattr(module, "CHUNK", 2)
    features = torch.tensor([[1000.0]])
    weight = torch.tensor([[1.0], [-1.0], [0.5], [0.9]], requires_grad=True)
    target = torch.tensor([1])
    loss = chunked_cross_entropy(features, weight, torch.zeros(4), target)
    loss.backward()
    assert loss.item() == pytest.approx(2000)
    assert weight.grad.isfinite().all()


def test_memory_does_not_grow_with_the_classes():
    rows, classes = 64, 8 * module.CHUNK
    features, target = torch.randn(rows, 2), torch.arange(rows)
    weight, bias = torch.randn(classes, 2), torch.zeros(classes)
    with torch.profiler.profile(profile_memory=True) as profile, torch.no_grad():
        chunked_cross_entropy(features, weight, bias, target)
    now = peak = 0
    for event in profile.profiler.kineto_results.events():
        if event.name() == "[memory]":
            now += event.nbytes()
            peak = max(peak, now)
    assert 0 < peak < rows * classes * 4 / 2


def test_autocast_does_not_touch_one_chunk():
    given = [t.detach().float().requires_grad_() for t in tensors(4, 20)]
    target = torch.tensor([0, 19, 6, 7])
    expected = torch.autograd.grad(chunked_cross_entropy(*given, target), given)
    with torch.autocast("cpu", torch.bfloat16):
        loss = chunked_cross_entropy(*given, target)
    found = torch.autograd.grad(loss, given)
    assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))


def test_autocast_does_not_touch_it(monkeypatch):
    monkeypatch.setattr(module, "CHUNK", 7)
    features, weight, bias = (t.float() for t in tensors(4, 20))
    given = [t.detach().requires_grad_() for t in (features, weight, bias)]
    target = torch.tensor([0, 19, 6, 7])
    expected = torch.autograd.grad(chunked_cross_entropy(*given, target), given)
    with torch.autocast("cpu", torch.bfloat16):
        found = torch.autograd.grad(chunked_cross_entropy(*given, target), given)
    assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))
