"""What necks and heads share."""

from collections.abc import Sequence

from torch import Tensor


def check_num_maps(maps: Sequence[Tensor], expected: int) -> None:
    """Say what to compare where a neck gets other maps than it was built for.

    Raises:
        ValueError: If their number is not the expected one.
    """
    if len(maps) != expected:
        raise ValueError(
            f"{len(maps)} maps came in, the neck was built for {expected}: compare "
            "the backbone's out_indices with the neck's in_channels"
        )


def gather_cells(maps: Tensor, image: Tensor, cell: Tensor) -> Tensor:
    """Read a map at given cells.

    Args:
        maps (Tensor): (N, C, h, w).
        image (Tensor): (...) index of the image in the batch.
        cell (Tensor): (...) flat index ``y * w + x``.

    Returns:
        Tensor: (..., C).
    """
    width = maps.shape[-1]
    return maps[image, :, cell // width, cell % width]
