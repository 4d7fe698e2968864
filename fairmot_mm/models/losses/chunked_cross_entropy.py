import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

# Logits of so many classes stand in memory at a time.
CHUNK = 1 << 15


class _ChunkedCrossEntropy(torch.autograd.Function):
    """Forward pass by a running log-sum-exp, backward pass from logits made again."""

    @staticmethod
    def forward(ctx, features: Tensor, weight: Tensor, bias: Tensor, target: Tensor):
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
    def backward(ctx, grad: Tensor) -> tuple[Tensor | None, ...]:
        # Whoever calls this under autocast gets single precision all the same.
        with torch.autocast(grad.device.type, enabled=False):
            return (*_gradients(grad, *ctx.saved_tensors), None)


def _gradients(
    grad: Tensor,
    features: Tensor,
    weight: Tensor,
    bias: Tensor,
    target: Tensor,
    total: Tensor,
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of features, weight and bias."""
    grad_features = torch.zeros_like(features)
    grad_weight, grad_bias = torch.empty_like(weight), torch.empty_like(bias)
    for start, logits in _chunks(features, weight, bias):
        stop = start + logits.shape[1]
        rows, columns = _inside(target, start, logits)
        error = logits.sub_(total[:, None]).exp_()
        error[rows, columns] -= 1
        error *= grad
        grad_features.addmm_(error, weight[start:stop])
        torch.mm(error.t(), features, out=grad_weight[start:stop])
        torch.sum(error, 0, out=grad_bias[start:stop])
    return grad_features, grad_weight, grad_bias


def _chunks(features: Tensor, weight: Tensor, bias: Tensor):
    """First class and logits (M, classes) of each chunk of classes."""
    for start in range(0, len(weight), CHUNK):
        part = slice(start, start + CHUNK)
        yield start, torch.addmm(bias[part], features, weight[part].t())


def _inside(target: Tensor, start: int, logits: Tensor) -> tuple[Tensor, Tensor]:
    """Rows whose target is in this chunk, and its column there."""
    column = target - start
    rows = ((column >= 0) & (column < logits.shape[1])).nonzero()[:, 0]
    return rows, column[rows]


def chunked_cross_entropy(
    features: Tensor, weight: Tensor, bias: Tensor, target: Tensor
) -> Tensor:
    """Cross-entropy of a linear classifier, summed, without all logits in memory.

    The same number and gradients as ``cross_entropy(linear(features, weight, bias),
    target, reduction='sum')``, in memory of a few ``M * CHUNK`` numbers, not of several
    times ``M * K``: with CrowdHuman's hundreds of thousands of identities the logits
    are larger than all maps of the network.

    Args:
        features (Tensor): (M, D).
        weight (Tensor): (K, D), one row per class.
        bias (Tensor): (K,).
        target (Tensor): (M,) classes in 0..K - 1.

    Returns:
        Tensor: The sum over the M rows.
    """
    with torch.autocast(features.device.type, enabled=False):
        if len(weight) <= CHUNK:  # nothing to save: made once, logits are faster
            logits = F.linear(features, weight, bias)
            return F.cross_entropy(logits, target, reduction="sum")
        return _ChunkedCrossEntropy.apply(features, weight, bias, target)
