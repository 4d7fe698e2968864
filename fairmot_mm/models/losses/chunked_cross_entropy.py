from collections.abc import Iterator

import torch
from torch import Tensor
from torch.autograd.function import FunctionCtx, once_differentiable
from torch.nn import functional as F

# Number of classes whose logits are in memory at a time.
CHUNK = 1 << 15


def chunked_cross_entropy(
    features: Tensor,
    weight: Tensor,
    bias: Tensor,
    target: Tensor,
    label_smoothing: float = 0.0,
) -> Tensor:
    """Cross-entropy of a linear classifier, summed, without all logits in memory.

    Equals ``cross_entropy(linear(features, weight, bias), target, reduction='sum',
    label_smoothing=label_smoothing)``, gradients included, but holds a few times
    ``M * CHUNK`` numbers instead of ``M * K``: with CrowdHuman's hundreds of thousands
    of identities the logits would be larger than all maps of the network.

    Args:
        features: (M, D).
        weight: (K, D), one row per class.
        bias: (K,).
        target: (M,) classes in 0..K - 1.
        label_smoothing: Share of the target that is spread evenly over all classes
            (Szegedy et al., arXiv:1512.00567, section 7).
    """
    with torch.autocast(features.device.type, enabled=False):
        if len(weight) <= CHUNK:  # logits that are computed once are faster
            logits = F.linear(features, weight, bias)
            return F.cross_entropy(
                logits, target, reduction="sum", label_smoothing=label_smoothing
            )
        return _ChunkedCrossEntropy.apply(
            features, weight, bias, target, label_smoothing
        )


class _Context(FunctionCtx):
    saved_tensors: tuple[Tensor, Tensor, Tensor, Tensor, Tensor]
    smoothing: float


class _ChunkedCrossEntropy(torch.autograd.Function):
    """Forward by a running log-sum-exp, backward from recomputed logits."""

    @staticmethod
    def forward(
        ctx: _Context,
        features: Tensor,
        weight: Tensor,
        bias: Tensor,
        target: Tensor,
        smoothing: float,
    ) -> Tensor:
        total = features.new_full((len(features),), -torch.inf)
        wanted = torch.zeros_like(total)  # logits, weighted by the smoothed target
        even = smoothing / len(weight)
        for start, logits in _chunks(features, weight, bias):
            total = torch.logaddexp(total, logits.logsumexp(1))
            rows, columns = _inside(target, start, logits)
            wanted[rows] += (1 - smoothing) * logits[rows, columns]
            if smoothing:
                wanted += even * logits.sum(1)
        ctx.save_for_backward(features, weight, bias, target, total)
        ctx.smoothing = smoothing
        return (total - wanted).sum()

    @staticmethod
    @once_differentiable
    def backward(ctx: _Context, grad: Tensor) -> tuple[Tensor | None, ...]:
        features, weight, bias, target, total = ctx.saved_tensors
        smoothing, even = ctx.smoothing, ctx.smoothing / len(weight)
        grad_features = torch.zeros_like(features)
        grad_weight, grad_bias = torch.empty_like(weight), torch.empty_like(bias)
        # In single precision where the backward pass runs under autocast, too.
        with torch.autocast(grad.device.type, enabled=False):
            for start, logits in _chunks(features, weight, bias):
                part = slice(start, start + logits.shape[1])
                rows, columns = _inside(target, start, logits)
                error = logits.sub_(total[:, None]).exp_()
                if smoothing:
                    error -= even
                error[rows, columns] -= 1 - smoothing
                error *= grad
                grad_features.addmm_(error, weight[part])
                torch.mm(error.t(), features, out=grad_weight[part])
                torch.sum(error, 0, out=grad_bias[part])
        return grad_features, grad_weight, grad_bias, None, None


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
