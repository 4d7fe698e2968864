"""What FairMOT needs of its parts."""

from collections.abc import Sequence
from typing import Protocol

from mmengine.structures import InstanceData
from torch import Tensor, nn

from ..dense_heads.center_targets import CenterTargets


class DetectionHead(Protocol):
    """``bbox_head``, e.g. :class:`~fairmot_mm.models.FairMOTHead`."""

    heatmap_branch: nn.Module

    def __call__(self, feats: Sequence[Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        """Heatmap logits, size and offset as whole maps."""

    def heatmap(self, feats: Sequence[Tensor]) -> Tensor:
        """Heatmap logits alone."""

    def boxes_at(
        self, feats: Sequence[Tensor], image: Tensor, cell: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Size and offset at some cells."""

    def get_targets(
        self,
        batch_gt_instances: Sequence[InstanceData],
        map_hw: tuple[int, int],
        input_hw: tuple[int, int],
    ) -> CenterTargets:
        """Training targets."""

    def loss_by_targets(
        self, heatmap: Tensor, size: Tensor, offset: Tensor, targets: CenterTargets
    ) -> dict[str, Tensor]:
        """Losses by name."""

    def predict_at_peaks(
        self,
        feats: Sequence[Tensor],
        batch_img_metas: Sequence[dict],
        rescale: bool = True,
        input_hw: tuple[int, int] | None = None,
    ) -> list[InstanceData]:
        """Boxes, with the ``cells`` they were read from."""


class ReIDHead(Protocol):
    """``reid_head``, e.g. :class:`~fairmot_mm.models.EmbeddingHead`."""

    def __call__(self, feats: Sequence[Tensor]) -> Tensor:
        """Embeddings as a whole map."""

    def embeddings_at(
        self, feats: Sequence[Tensor], image: Tensor, cell: Tensor
    ) -> Tensor:
        """Embeddings of length 1 at some cells."""

    def loss(
        self, embeddings: Tensor, identities: Tensor, labels: Tensor
    ) -> dict[str, Tensor]:
        """``loss_id``."""


class Tracker(Protocol):
    """``tracker``: ours, or one of the toolboxes'."""

    def track(self, **kwargs: object) -> InstanceData:
        """Track the next frame."""


def check_part(key: str, part: object, protocol: type, remedy: str) -> None:
    """Check that a part of the model has what a protocol asks for.

    Raises:
        TypeError: If it has not.
    """
    asked = (*protocol.__annotations__, *vars(protocol))
    missing = [
        name for name in asked if not (name.startswith("_") or hasattr(part, name))
    ]
    if missing:
        raise TypeError(
            f"{key}={type(part).__name__} lacks {', '.join(missing)}: use {remedy} or "
            "give it these methods"
        )
