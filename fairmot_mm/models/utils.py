"""What the heads share."""

from torch import Tensor


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
