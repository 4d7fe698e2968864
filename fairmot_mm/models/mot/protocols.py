"""What FairMOT needs of its parts."""

from collections.abc import Callable, Sequence
from typing import Protocol

from mmengine.structures import InstanceData
from torch import Tensor, nn

from ..dense_heads.center_targets import CenterTargets


class DetectionHead(Protocol):
    """``bbox_head``; see :class:`~fairmot_mm.models.FairMOTHead`."""

    heatmap_branch: nn.Module
    heatmap: Callable[..., Tensor]
    boxes_at: Callable[..., tuple[Tensor, Tensor]]
    get_targets: Callable[..., CenterTargets]
    loss_by_targets: Callable[..., dict[str, Tensor]]
    predict_at_peaks: Callable[..., list[InstanceData]]

    def __call__(self, feats: Sequence[Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        """Heatmap, size and offset."""


class ReIDHead(Protocol):
    """``reid_head``; see :class:`~fairmot_mm.models.EmbeddingHead`."""

    embeddings_at: Callable[..., Tensor]
    loss: Callable[..., dict[str, Tensor]]

    def __call__(self, feats: Sequence[Tensor]) -> Tensor:
        """Embeddings."""


class Tracker(Protocol):
    """``tracker``, ours or one of the toolboxes'."""

    track: Callable[..., InstanceData]


def check_part(key: str, part: object, protocol: type, remedy: str) -> None:
    """Raise a TypeError that names what a part of the model lacks."""
    missing = [name for name in protocol.__annotations__ if not hasattr(part, name)]
    if missing:
        raise TypeError(
            f"{key}={type(part).__name__} lacks {', '.join(missing)}: use {remedy} or "
            "give it these methods"
        )
