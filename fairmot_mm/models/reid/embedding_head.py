import math
from collections.abc import Sequence

import torch
from mmdet.utils import reduce_mean
from mmengine.dist import get_world_size
from mmengine.model import BaseModule, bias_init_with_prob
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.ops import sigmoid_focal_loss

from fairmot_mm.registry import MODELS

from ..layers.branch import ConvBranch


@MODELS.register_module()
class EmbeddingHead(BaseModule):
    """ReID head of FairMOT: an embedding per cell, trained as a classifier.

    Zhang et al., *FairMOT*, arXiv:2004.01888, section 3.2.2 and eq. 3. The classifier
    exists for training alone: without ``num_ids`` there is none.

    Args:
        in_channels (int): Channels of the map that comes in.
        feat_channels (int): Channels between the two convolutions.
        embed_dims (int): Length of the embedding.
        num_ids (int | str | None): Number of identities in the training data.
            ``'auto'`` stands for what ``tools/train.py`` finds in the data; until it is
            filled in, the head is built without a classifier, as with ``None``.
        loss (str): ``'ce'``, cross-entropy over the identities, or ``'focal'``, a
            sigmoid focal loss.
        loss_weight (float): Weight of the loss.
        init_cfg (dict | None): MMEngine's initialisation.
    """

    LOSSES = ("ce", "focal")

    def __init__(
        self,
        in_channels: int,
        feat_channels: int = 256,
        embed_dims: int = 128,
        num_ids: int | str | None = "auto",
        loss: str = "ce",
        loss_weight: float = 1.0,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(init_cfg)
        if loss not in self.LOSSES:
            raise ValueError(f"{loss=}: choose one of {self.LOSSES}")
        self.embed_dims = embed_dims
        self.loss_type = loss
        self.loss_weight = loss_weight
        self.branch = ConvBranch(in_channels, feat_channels, embed_dims)
        self.num_ids = None if num_ids == "auto" else num_ids
        self.classifier = None
        if self.num_ids is not None:
            if not isinstance(num_ids, int) or num_ids < 1:
                raise ValueError(
                    f"num_ids={num_ids!r}: give a positive number, 'auto' or None"
                )
            self.classifier = nn.Linear(embed_dims, num_ids)
            if loss == "focal":
                nn.init.normal_(self.classifier.weight, std=0.01)
                nn.init.constant_(self.classifier.bias, bias_init_with_prob(0.01))

    @property
    def scale(self) -> float:
        """Length given to an embedding before it is classified.

        ``sqrt(2) * ln(num_ids - 1)``, as FairMOT takes it from AdaCos (Zhang et al.,
        CVPR 2019, eq. 12). It has no use for fewer than three identities, where the
        logarithm would leave nothing to learn from.
        """
        return math.sqrt(2) * math.log(max(self.num_ids - 1, 2))

    def forward(self, feats: Sequence[Tensor]) -> Tensor:
        """Compute the embeddings.

        Args:
            feats (Sequence[Tensor]): One map (N, C_in, h, w).

        Returns:
            Tensor: (N, embed_dims, h, w), not normalised.
        """
        (x,) = feats
        return self.branch(x)

    def embeddings_at(
        self, feats: Sequence[Tensor], image: Tensor, cell: Tensor
    ) -> Tensor:
        """Compute the embeddings of some cells alone.

        Args:
            feats (Sequence[Tensor]): One map (N, C_in, h, w).
            image (Tensor): (M,) index of the image in the batch.
            cell (Tensor): (M,) flat index ``y * w + x``.

        Returns:
            Tensor: (M, embed_dims), of length 1.
        """
        (x,) = feats
        return F.normalize(self.branch.at(x, image, cell).float(), dim=-1)

    def loss(self, embeddings: Tensor, identities: Tensor) -> dict[str, Tensor]:
        """Identity loss of M objects, averaged over all processes.

        Args:
            embeddings (Tensor): (M, embed_dims), of length 1.
            identities (Tensor): (M,) in 0..num_ids - 1; -1 has no identity and no
                loss.

        Returns:
            dict[str, Tensor]: ``loss_id``; zero where no object has an identity.

        Raises:
            RuntimeError: If the head was built without a number of identities.
            ValueError: If an identity is not below ``num_ids``.
        """
        if self.classifier is None:
            raise RuntimeError(
                "the ReID head has no classifier: set model.reid_head.num_ids to the "
                "number of identities in the training data (tools/train.py fills in "
                "'auto' by itself; the training dataset knows it as num_ids)"
            )
        known = identities != -1
        embeddings, identities = embeddings[known], identities[known]
        wrong = (identities < 0) | (identities >= self.num_ids)
        if wrong.any():
            raise ValueError(
                f"identity {int(identities[wrong][0])} in gt_instances.instances_ids "
                f"is outside 0..{self.num_ids - 1}: model.reid_head.num_ids must be "
                "the number of identities in the training data"
            )
        total = reduce_mean(
            torch.tensor(float(len(identities)), device=embeddings.device)
        ).clamp_min(1 / get_world_size())
        with torch.autocast(embeddings.device.type, enabled=False):
            logits = self.classifier(self.scale * embeddings)
            if self.loss_type == "ce":
                loss = F.cross_entropy(logits, identities, reduction="sum")
            else:
                one_hot = F.one_hot(identities, self.num_ids).to(logits.dtype)
                loss = sigmoid_focal_loss(logits, one_hot, reduction="sum")
        return dict(loss_id=self.loss_weight * loss / total)
