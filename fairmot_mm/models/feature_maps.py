"""Helpers of necks and heads."""

from collections.abc import Sequence

from torch import Tensor


def check_num_maps(maps: Sequence[Tensor], expected: int) -> None:
    """Check that a neck gets as many maps as it was built for."""
    if len(maps) != expected:
        raise ValueError(
            f"{len(maps)} maps came in, the neck was built for {expected}: compare "
            "the backbone's out_indices with the neck's in_channels"
        )


def gather_cells(maps: Tensor, image: Tensor, cell: Tensor) -> Tensor:
    """Read a map at given cells.

    Args:
        maps: (N, C, h, w).
        image: (...) index of the image in the batch.
        cell: (...) flat index ``y * w + x``.

    Returns:
        (..., C).
    """
    width = maps.shape[-1]
    return maps[image, :, cell // width, cell % width]
