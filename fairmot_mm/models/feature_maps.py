"""Helpers of necks and heads."""

from collections.abc import Sequence

from torch import Tensor


def only_map(maps: Sequence[Tensor], in_channels: int, head: str) -> Tensor:
    """The neck's one map, of ``in_channels``; errors name the ``head``'s config key."""
    channels = [m.shape[1] for m in maps]
    if channels != [in_channels]:
        raise ValueError(
            f"model.{head}.in_channels={in_channels}, but model.neck gives "
            f"{len(maps)} maps of {channels} channels: the head takes one map, with "
            "as many channels as its in_channels"
        )
    return maps[0]


def check_channels(maps: Sequence[Tensor], in_channels: int | Sequence[int]) -> None:
    """Check that a neck gets maps, finest first, of the channels it was built for.

    ``in_channels`` are those of the coarsest maps; of the last one alone if a number.
    """
    given = [m.shape[1] for m in maps]
    expected = [in_channels] if isinstance(in_channels, int) else [*in_channels]
    expected = expected[-len(given) :]
    if expected and given[-len(expected) :] != expected:
        raise ValueError(
            f"model.neck.in_channels={in_channels}, but model.backbone gives maps of "
            f"{given} channels: compare with its out_indices"
        )


def check_num_maps(maps: Sequence[Tensor], *expected: int) -> None:
    """Check that a neck gets as many maps as it was built for."""
    if len(maps) not in expected:
        raise ValueError(
            f"{len(maps)} maps came in, the neck was built for "
            f"{' or '.join(map(str, expected))}: compare the backbone's out_indices "
            "with the neck's in_channels"
        )


def gather_cells(maps: Tensor, image: Tensor, cell: Tensor) -> Tensor:
    """Read maps (N, C, h, w) at some cells: (..., C).

    Args:
        maps: The maps of a batch.
        image: (...) index of the image in the batch.
        cell: (...) flat index ``y * w + x``.
    """
    width = maps.shape[-1]
    return maps[image, :, cell // width, cell % width]
