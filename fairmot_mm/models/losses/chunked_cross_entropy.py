from collections.abc import Iterator

import torch
from torch import Tensor
from torch.autograd.function import FunctionCtx, once_differentiable
from torch.nn import functional as F

# Number of classes whose logits are in memory at a time.
CHUNK = 1 << 15


def chunked_cross_entropy(
    features: Tensor, weight: Tensor, bias: Tensor, target: Tensor
) -> Tensor:
    """Cross-entropy of a linear classifier, summed, without all logits in memory.

    Equals ``cross_entropy(linear(features, weight, bias), target, reduction='sum')``,
    gradients included, but holds a few times ``M * CHUNK`` numbers instead of
    ``M * K``: with CrowdHuman's hundreds of thousands of identities the logits would be
    larger than all maps of the network.

    Args:
        features: (M, D).
        weight: (K, D), one row per class.
        bias: (K,).
        target: (M,) classes in 0..K - 1.
    """
    with torch.autocast(features.device.type, enabled=False):
        if len(weight) <= CHUNK:  # logits that are computed once are faster
            logits = F.linear(features, weight, bias)
            return F.cross_entropy(logits, target, reduction="sum")
        return _ChunkedCrossEntropy.apply(features, weight, bias, target)


class _Context(FunctionCtx):
    saved_tensors: tuple[Tensor, Tensor, Tensor, Tensor, Tensor]


class _ChunkedCrossEntropy(torch.autograd.Function):
    """Forward by a running log-sum-exp, backward from recomputed logits."""

    @staticmethod
    def forward(
        ctx: FunctionCtx, features: Tensor, weight: Tensor, bias: Tensor, target: Tensor
    ) -> Tensor:
        total = features.new_full((len(features),), -torch.inf)
        of_target = torch.zeros_like(total)
        for start, logits in _chunks(features, weight, bias):
            total = torch.logaddexp(total, logits.logsumexp(1))
            rows, columns = _inside(target, start, logits)
            of_target[rows] = logits[rows, columns]
        ctx.save_for_backward(features, weight, bias, target, total)
        return (total - of_target).sum()

    @staticmethod
    @once_differentiable
    def backward(ctx: _Context, grad: Tensor) -> tuple[Tensor | None, ...]:
        features, weight, bias, target, total = ctx.saved_tensors
        grad_features = torch.zeros_like(features)
        grad_weight, grad_bias = torch.empty_like(weight), torch.empty_like(bias)
        # In single precision where the backward pass runs under autocast, too.
        with torch.autocast(grad.device.type, enabled=False):
            for start, logits in _chunks(features, weight, bias):
                part = slice(start, start + logits.shape[1])
                rows, columns = _inside(target, start, logits)
                error = logits.sub_(total[:, None]).exp_()
                error[rows, columns] -= 1
                error *= grad
                grad_features.addmm_(error, weight[part])
                torch.mm(error.t(), features, out=grad_weight[part])
                torch.sum(error, 0, out=grad_bias[part])
        return grad_features, grad_weight, grad_bias, None


def _chunks(
    features: Tensor, weight: Tensor, bias: Tensor
) -> Iterator[tuple[int, Tensor]]:
    """First class and logits (M, classes) of each chunk of classes."""
    for start in range(0, len(weight), CHUNK):
        part = slice(start, start + CHUNK)
        yield start, torch.addmm(bias[part], features, weight[part].t())


def _inside(target: Tensor, start: int, logits: Tensor) -> tuple[Tensor, Tensor]:
    """Rows whose target is in this chunk, and the target's column there."""
    column = target - start
    rows = ((column >= 0) & (column < logits.shape[1])).nonzero()[:, 0]
    return rows, column[rows]
