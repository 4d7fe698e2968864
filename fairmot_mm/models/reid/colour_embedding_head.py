from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.ops import roi_align

from fairmot_mm.registry import MODELS

from ..losses.contrastive import supervised_contrastive_loss
from .embedding_head import EmbeddingHead

PIXELS = (24, 8)  # rows and columns that are read from each box
STRIPS = 4  # head to feet
GRID_SIGMA = 0.12  # of a colour of the grid


@MODELS.register_module()
class ColourEmbeddingHead(EmbeddingHead):
    """FairMOT's embedding joined with the colours in the object's box.

    Trained on few scenes, the embedding at the centre learns those scenes' people by
    heart. What a person wears, from head to feet, is recognised in any scene: each
    pixel of the box is assigned to some of the learned colours, and strips of the box
    are described by their shares: histograms with learned bins, which start as a grid
    over RGB unless :meth:`place_colours` puts them elsewhere. The box is read as by
    RoIAlign (He et al., ICCV 2017), which FairMOT compares with the centre in table 1.

    The centre's embedding is trained as in :class:`EmbeddingHead`, that of the colours
    by a :func:`supervised_contrastive_loss` over the people of the batch: it needs
    batches with the same person on several images, see :class:`FramePairSampler`.

    Args:
        grid: Learned colours along each axis of RGB.
        colour_dims: Length of the colours' embedding.
        colour_share: Share of the colours in the cosine similarity of two objects.
        contrastive_weight: Weight of the contrastive loss.
        temperature: Of the contrastive loss.
        **kwargs: Of :class:`EmbeddingHead`, whose ``embed_dims`` is the length of the
            centre's embedding.
    """

    def __init__(
        self,
        *args: Any,
        grid: int = 4,
        colour_dims: int = 64,
        colour_share: float = 0.75,
        contrastive_weight: float = 1.0,
        temperature: float = 0.1,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        if not 0 <= colour_share <= 1:
            raise ValueError(f"{colour_share=}: must be between 0 and 1")
        self.colour_share = colour_share
        self.contrastive_weight = contrastive_weight
        self.temperature = temperature
        # The softmax of this map weighs the colours by a Gaussian around each.
        self.colours = nn.Linear(3, grid**3)
        self.description = nn.Linear(STRIPS * grid**3, colour_dims)
        axis = (torch.arange(grid) + 0.5) / grid
        self.place_colours(torch.cartesian_prod(axis, axis, axis), GRID_SIGMA)
        nn.init.orthogonal_(self.description.weight)
        nn.init.zeros_(self.description.bias)
        # People stand in the middle of their boxes.
        across = torch.linspace(-1, 1, PIXELS[1]).square().mul(-2).exp()
        self.register_buffer("across", across / across.sum(), persistent=False)

    @torch.no_grad()
    def place_colours(self, centers: Tensor, sigma: float) -> None:
        """Set the colours (grid**3, 3), RGB in [0, 1], and how wide each is."""
        self.colours.weight.copy_(centers / sigma**2)
        self.colours.bias.copy_(-centers.square().sum(1) / (2 * sigma**2))

    def embeddings_in_boxes(
        self,
        feats: Sequence[Tensor],
        image: Tensor,
        cell: Tensor,
        inputs: Tensor,
        boxes: Tensor,
    ) -> Tensor:
        """Embeddings (M, embed_dims + colour_dims) of length 1.

        Args:
            feats: One map (N, C_in, h, w).
            image: (M,) index of the object's image in the batch.
            cell: (M,) flat index of the object's centre in the map.
            inputs: (N, 3, H, W), RGB in [0, 1].
            boxes: (M, 4) xyxy in pixels of the inputs.
        """
        center = self.embeddings_at(feats, image, cell)
        colours = self.embed_colours(inputs, image, boxes)
        share = self.colour_share
        return torch.cat(((1 - share) ** 0.5 * center, share**0.5 * colours), dim=1)

    def embed_colours(self, inputs: Tensor, image: Tensor, boxes: Tensor) -> Tensor:
        """Embeddings (M, colour_dims) of length 1; arguments as above."""
        if self.training:  # boxes are found less exactly than they are annotated
            sides = (boxes[:, 2:] - boxes[:, :2]).repeat(1, 2)
            boxes = boxes + 0.05 * sides * torch.randn_like(boxes)
        with torch.autocast(inputs.device.type, enabled=False):
            pixels = self.pixels_in_boxes(inputs, image, boxes)
            shares = self.colours(pixels.movedim(1, -1)).softmax(-1)
            shares = (shares * self.across[:, None]).sum(2)
            strips = shares.unflatten(1, (STRIPS, -1)).mean(2)
            # As for Bhattacharyya's coefficient; the root's slope is infinite at 0.
            roots = (strips + 1e-4).sqrt().flatten(1)
            return F.normalize(self.description(roots), dim=1)

    @staticmethod
    def pixels_in_boxes(inputs: Tensor, image: Tensor, boxes: Tensor) -> Tensor:
        """Pixels (M, 3, 24, 8) of the boxes; arguments as above."""
        rois = torch.cat((image[:, None].to(boxes), boxes), dim=1)
        return roi_align(inputs.float(), rois.float(), PIXELS, 1.0, 1, True)

    def loss(
        self, embeddings: Tensor, identities: Tensor, labels: Tensor | None = None
    ) -> dict[str, Tensor]:
        """As of :class:`EmbeddingHead`; ``loss_colours`` is a part of ``loss_id``."""
        center, colours = embeddings.split(
            (self.embed_dims, self.description.out_features), dim=1
        )
        losses = super().loss(F.normalize(center, dim=1), identities, labels)
        known = identities != -1
        who = self._unique_identities(
            identities[known], None if labels is None else labels[known]
        )
        contrastive = self.contrast(colours[known], who)
        losses["loss_id"] = losses["loss_id"] + self.contrastive_weight * contrastive
        return losses | dict(loss_colours=contrastive)

    def contrast(self, colours: Tensor, identities: Tensor) -> Tensor:
        """Contrastive loss of the colours' embeddings (M, colour_dims)."""
        unit = F.normalize(colours, dim=1)
        return supervised_contrastive_loss(unit, identities, self.temperature)
