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

from ..feature_maps import only_map
from ..layers.branch import ConvBranch
from ..losses.chunked_cross_entropy import chunked_cross_entropy


def embedding_scale(num_ids: int) -> float:
    """Length given to an embedding before it is classified.

    ``sqrt(2) * ln(num_ids - 1)``, as FairMOT takes it from AdaCos (Zhang et al., CVPR
    2019, eq. 12). Undefined for fewer than three identities; clamped.
    """
    return math.sqrt(2) * math.log(max(num_ids - 1, 2))


def _checked(num_ids: int | Sequence[int] | str | None) -> int | tuple[int, ...] | None:
    """Numbers of identities: one, one per class, or None where they are not known."""
    if num_ids is None or num_ids == "auto":
        return None
    if isinstance(num_ids, int) and num_ids > 0:
        return num_ids
    if isinstance(num_ids, Sequence) and not isinstance(num_ids, str):
        counts = tuple(num_ids)
        if counts and all(isinstance(n, int) and n >= 0 for n in counts):
            return counts
    raise ValueError(
        f"num_ids={num_ids!r}: give a positive number, a list of one number per class, "
        "'auto' or None"
    )


@MODELS.register_module()
class EmbeddingHead(BaseModule):
    """ReID head of FairMOT: an embedding per cell, trained as a classifier.

    Zhang et al., *FairMOT*, arXiv:2004.01888, section 3.2.2 and eq. 3. The classifier
    exists for training alone: without ``num_ids`` there is none.

    Args:
        feat_channels: Channels between the two convolutions.
        embed_dims: Length of the embedding.
        num_ids: Number of identities in the training data; of several classes one
            number each, and each class gets a classifier of its own (0: none),
            identities counting from 0 in each. ``'auto'``: the training loop sets the
            number found in the data; until then there is no classifier, as with
            ``None``.
        loss: ``'ce'``, cross-entropy over the identities, or ``'focal'``, a sigmoid
            focal loss.
        loss_weight: Weight of the loss.
        label_smoothing: Of the cross-entropy.
        loss_triplet: Config of a loss of embeddings of length 1 (M, embed_dims) and
            identities (M,), such as ``mmdet.TripletLoss``, as in MMDetection's
            ``LinearReIDHead``; a part of ``loss_id``. None: there is none.
        act_cfg: Activation between the two convolutions; ReLU if None.
    """

    LOSSES = ("ce", "focal")

    def __init__(
        self,
        in_channels: int,
        feat_channels: int = 256,
        embed_dims: int = 128,
        num_ids: int | Sequence[int] | str | None = "auto",
        loss: str = "ce",
        loss_weight: float = 1.0,
        label_smoothing: float = 0.0,
        loss_triplet: dict | None = None,
        act_cfg: dict | None = None,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(init_cfg)
        if loss not in self.LOSSES:
            raise ValueError(f"{loss=}: choose one of {self.LOSSES}")
        if not 0 <= label_smoothing < 1 or (label_smoothing and loss != "ce"):
            raise ValueError(
                f"{label_smoothing=}: must be at least 0 and below 1, and 0 unless "
                f"loss='ce', which is {loss!r}"
            )
        self.in_channels = in_channels
        self.embed_dims = embed_dims
        self.loss_type = loss
        self.loss_weight = loss_weight
        self.label_smoothing = label_smoothing
        self.loss_triplet = MODELS.build(loss_triplet) if loss_triplet else None
        self.branch = ConvBranch(in_channels, feat_channels, embed_dims, act_cfg)
        self.set_num_ids(num_ids)

    def set_num_ids(self, num_ids: int | Sequence[int] | str | None) -> None:
        """Build the classifier anew; call it before anything holds its parameters."""
        self.num_ids = _checked(num_ids)
        self.num_ids_from_data = num_ids == "auto"
        self.classifier: nn.Module | None = None
        if isinstance(self.num_ids, int):
            self.classifier = self._make_classifier(self.num_ids)
        elif self.num_ids is not None:
            self.classifier = nn.ModuleList(map(self._make_classifier, self.num_ids))
        if self.classifier is not None:
            self.classifier.to(next(self.branch.parameters()).device)

    def _make_classifier(self, num_ids: int) -> nn.Module:
        if num_ids == 0:
            return nn.Identity()
        classifier = nn.Linear(self.embed_dims, num_ids)
        if self.loss_type == "focal":
            nn.init.normal_(classifier.weight, std=0.01)
            nn.init.constant_(classifier.bias, bias_init_with_prob(0.01))
        return classifier

    def forward(self, feats: Sequence[Tensor]) -> Tensor:
        """Map one map (N, C_in, h, w) to embeddings (N, embed_dims, h, w), raw."""
        return self.branch(only_map(feats, self.in_channels, "reid_head"))

    def embeddings_at(
        self, feats: Sequence[Tensor], image: Tensor, cell: Tensor
    ) -> Tensor:
        """Embeddings (..., embed_dims) of length 1; see :meth:`ConvBranch.at`."""
        x = only_map(feats, self.in_channels, "reid_head")
        return F.normalize(self.branch.at(x, image, cell).float(), dim=-1)

    def loss(
        self, embeddings: Tensor, identities: Tensor, labels: Tensor | None = None
    ) -> dict[str, Tensor]:
        """Identity loss of M objects, averaged over all processes.

        Args:
            embeddings: (M, embed_dims), of length 1.
            identities: (M,) in 0..num_ids - 1 (of the object's class); -1 has no
                identity and no loss.
            labels: (M,) classes, read where each has a classifier.

        Returns:
            ``loss_id``; zero where no object has an identity. With ``loss_triplet``,
            ``loss_triplet`` too, which is a part of it.

        Raises:
            RuntimeError: If the head was built without a number of identities.
            ValueError: If an identity is not below ``num_ids``.
        """
        if self.classifier is None or self.num_ids is None:
            raise RuntimeError(
                "the ReID head has no classifier: set model.reid_head.num_ids to the "
                "number of identities in the training data (the loops "
                "fairmot_mm.FairMOTTrainLoop and FairMOTIterTrainLoop replace 'auto'; "
                "the training dataset knows it as num_ids)"
            )
        known = identities != -1
        embeddings, identities = embeddings[known], identities[known]
        count = torch.tensor(float(len(identities)), device=embeddings.device)
        total = reduce_mean(count).clamp_min(1 / get_world_size())
        if isinstance(self.num_ids, int):
            classifiers, counts = [self.classifier], [self.num_ids]
            labels = torch.zeros_like(identities)
        elif labels is None:
            raise ValueError("several classes: the loss needs their labels")
        else:
            classifiers, counts = [*self.classifier.children()], [*self.num_ids]
            labels = labels[known]
        _check_identities(identities, labels, counts)
        # A class that is absent takes part with a loss of zero: distributed training
        # refuses parameters without a gradient.
        loss = embeddings.sum() * 0
        with torch.autocast(embeddings.device.type, enabled=False):
            for label, classifier in enumerate(classifiers):
                objects = embeddings[labels == label], identities[labels == label]
                loss = loss + self._classify(classifier, counts[label], *objects)
        loss = self.loss_weight * loss / total
        if self.loss_triplet is None:
            return dict(loss_id=loss)
        who = self._unique_identities(identities, labels)
        # It compares people: with fewer than two there is nothing to compare.
        triplet = loss * 0
        if len(who.unique()) > 1:
            triplet = self.loss_triplet(embeddings, who)
        return dict(loss_id=loss + triplet, loss_triplet=triplet)

    def _unique_identities(self, identities: Tensor, labels: Tensor | None) -> Tensor:
        """Numbers (M,) that differ for two people of different classes, too."""
        if labels is None or not isinstance(self.num_ids, tuple):
            return identities
        return identities * len(self.num_ids) + labels

    def _classify(
        self, classifier: nn.Module, num_ids: int, unit: Tensor, identities: Tensor
    ) -> Tensor:
        """Summed loss of embeddings (M, D) of length 1 by their class's classifier."""
        if num_ids == 0:
            return unit.sum()
        features = embedding_scale(num_ids) * unit
        if self.loss_type == "ce":
            weight, bias = map(classifier.get_parameter, ("weight", "bias"))
            return chunked_cross_entropy(
                features, weight, bias, identities, self.label_smoothing
            )
        logits = classifier(features)
        one_hot = F.one_hot(identities, num_ids).to(logits.dtype)
        return sigmoid_focal_loss(logits, one_hot, reduction="sum")


def _check_identities(identities: Tensor, labels: Tensor, counts: list[int]) -> None:
    """Check that each identity is below the number of its class."""
    if len(labels) and labels.max() >= len(counts):
        raise ValueError(
            f"label {int(labels.max())}, but model.reid_head.num_ids has numbers "
            f"for {len(counts)} classes"
        )
    wrong = (identities < 0) | (identities >= labels.new_tensor(counts)[labels])
    if wrong.any():
        identity, label = int(identities[wrong][0]), int(labels[wrong][0])
        raise ValueError(
            f"identity {identity} of class {label} in gt_instances.instances_ids is "
            f"outside 0..{counts[label] - 1}: model.reid_head.num_ids must be the "
            "number of identities in the training data"
        )
