import torch
from torch import Tensor


def supervised_contrastive_loss(
    unit: Tensor, identities: Tensor, temperature: float = 0.1
) -> Tensor:
    """Pull the embeddings of a person together and push other people's away.

    Khosla et al., *Supervised contrastive learning*, arXiv:2004.11362, eq. 2: each
    embedding's mean negative log-probability of the others of its identity, among all
    others of the batch.

    Args:
        unit: (M, D) embeddings of length 1.
        identities: (M,) of the whole batch.
        temperature: Divides the cosine similarities.

    Returns:
        The mean over the embeddings whose identity occurs more than once; zero if there
        is none.
    """
    own = torch.eye(len(unit), dtype=torch.bool, device=unit.device)
    positive = (identities[:, None] == identities) & ~own
    similarity = (unit @ unit.T / temperature).masked_fill(own, -torch.inf)
    log_probability = similarity.log_softmax(dim=1).masked_fill(~positive, 0)
    matches = positive.sum(1)
    anchors = matches > 0
    per_anchor = -log_probability.sum(1)[anchors] / matches[anchors]
    return per_anchor.sum() / anchors.sum().clamp_min(1)
