import math
from collections.abc import Iterator
from typing import Protocol

import numpy as np
from mmengine.dist import get_dist_info, sync_random_seed
from torch.utils.data import Sampler

from fairmot_mm.registry import DATA_SAMPLERS


class Sequences(Protocol):
    """A dataset of images of which some belong to a sequence."""

    def __len__(self) -> int: ...

    def images_of_sequence(self, idx: int) -> range:
        """The images of an image's sequence, in order, or itself alone."""


@DATA_SAMPLERS.register_module()
class FramePairSampler(Sampler[int]):
    """Images in pairs: each with another one of its sequence, in random order.

    A loss that compares embeddings of the same person on different frames, such as that
    of :class:`ColourEmbeddingHead` or a triplet loss, learns only from batches that
    have them, which are rare if images are drawn one by one. An image without a
    sequence is paired with any other. An epoch has as many images as the dataset; half
    of them are drawn without replacement, the others are their partners.

    Args:
        dataset: With ``images_of_sequence``, as all sources of this package have it and
            :class:`JointDataset`. For whole pairs in a batch, its size must be even.
        max_gap: Largest distance of a pair in frames.
        seed: The same in all processes; drawn and shared by them if None.

    Raises:
        TypeError: The dataset does not know sequences.
        ValueError: ``max_gap`` is below 1.
    """

    def __init__(
        self, dataset: Sequences, max_gap: int = 60, seed: int | None = None
    ) -> None:
        if not hasattr(dataset, "images_of_sequence"):
            raise TypeError(
                f"{type(dataset).__name__} does not know which images are of one "
                "sequence: FramePairSampler takes sources such as MOTFrameDataset, and "
                "JointDataset of them"
            )
        if max_gap < 1:
            raise ValueError(f"{max_gap=}: must be at least 1")
        self.dataset = dataset
        self.max_gap = max_gap
        self.seed = sync_random_seed() if seed is None else seed
        self.rank, self.world_size = get_dist_info()
        self.epoch = 0

    def __iter__(self) -> Iterator[int]:
        rng = np.random.default_rng((self.seed, self.epoch))
        pairs = list(self._pairs(rng))
        # Each process has as many, so some pairs may come twice.
        wanted = len(self) // 2 * self.world_size
        pairs += pairs[: wanted - len(pairs)]
        for pair in pairs[self.rank : wanted : self.world_size]:
            yield from pair

    def __len__(self) -> int:
        return 2 * math.ceil(len(self.dataset) / (2 * self.world_size))

    def set_epoch(self, epoch: int) -> None:
        """Draw other pairs; the training loop calls it before each epoch."""
        self.epoch = epoch

    def _pairs(self, rng: np.random.Generator) -> Iterator[tuple[int, int]]:
        size = len(self.dataset)
        order = iter(rng.permutation(size).tolist())
        for _ in range(math.ceil(size / 2)):
            first = next(order)
            sequence = self.dataset.images_of_sequence(first)
            low = max(sequence.start, first - self.max_gap)
            high = min(sequence.stop, first + self.max_gap + 1)
            if high - low > 1:
                second = int(rng.integers(low, high - 1))
                second += second >= first  # not itself
            else:
                second = next(order, first)
            yield first, second
