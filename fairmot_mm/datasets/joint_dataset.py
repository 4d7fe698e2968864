import io
from collections.abc import Sequence

import numpy as np
from mmengine.dataset import ConcatDataset, RepeatDataset
from mmengine.logging import print_log
from rich.console import Console
from rich.table import Column, Table

from fairmot_mm.registry import DATASETS

from .frame_dataset import FrameDataset


@DATASETS.register_module()
class JointDataset(ConcatDataset):
    """Several sources as one, their identities kept apart.

    The identities of a source follow those of the sources before it, so they depend
    only on the order of ``datasets`` and on the files. Boxes without identity stay
    without. A table of what was read is logged.

    To weight sources instead of repeating them, use
    ``mmdet.MultiDataSampler(dataset_ratio=[2, 1])`` as the loader's sampler.

    Args:
        datasets: Configs of the sources, e.g. of :class:`MOTFrameDataset`; they must
            have the same classes.
        repeats: How often an epoch sees each source; once if None.
        pipeline: Transforms of the sources that have none of their own.
        input_size: Network input of the sources that have none of their own.
        lazy_init: Leave reading for later.

    Raises:
        TypeError: A source is no :class:`FrameDataset`.
        ValueError: Sources do not fit together, or ``repeats`` do not fit them.
    """

    def __init__(
        self,
        datasets: Sequence[dict],
        repeats: Sequence[int] | None = None,
        pipeline: Sequence[dict] | None = None,
        input_size: tuple[int, int] | None = None,
        lazy_init: bool = False,
    ) -> None:
        repeats = [1] * len(datasets) if repeats is None else list(repeats)
        whole = all(isinstance(times, int) and times >= 1 for times in repeats)
        if not whole or len(repeats) != len(datasets) or not datasets:
            raise ValueError(
                f"{repeats}: {len(repeats)} repeats for {len(datasets)} datasets: give "
                "whole numbers from 1, one for each of at least one source; for shares "
                "use the sampler mmdet.MultiDataSampler"
            )
        self.repeats = repeats
        defaults = dict(pipeline=pipeline, input_size=input_size)
        self.sources = [_build(dataset, defaults) for dataset in datasets]
        for source in self.sources[1:]:
            _check_fit(self.sources[0], source)
        # Which identity is which differs from source to source.
        super().__init__(self.sources, lazy_init=lazy_init, ignore_keys="identities")

    def full_init(self) -> None:
        """Read all sources and shift their identities."""
        if self._fully_initialized:
            return
        for source in self.sources:
            source.full_init()
        offsets = np.zeros(len(self.sources[0].metainfo["classes"]), np.int64)
        for source in self.sources:
            source.identity_offsets = offsets.copy()
            offsets += (
                source.num_ids_per_class if self.per_class_ids else source.num_ids
            )
        identities = [source.metainfo["identities"] for source in self.sources]
        self._metainfo["identities"] = identities
        self.datasets = [
            RepeatDataset(source, times) if times > 1 else source
            for source, times in zip(self.sources, self.repeats, strict=True)
        ]
        super().full_init()
        print_log("training data\n" + self.summary(), logger="current")

    @property
    def per_class_ids(self) -> bool:
        """Whether identities are numbered within their class."""
        return self.sources[0].per_class_ids

    @property
    def num_ids(self) -> int:
        """Number of identities; with ``per_class_ids`` the sum over the classes."""
        return sum(source.num_ids for source in self.sources)

    @property
    def num_ids_per_class(self) -> list[int]:
        """Number of identities that are seen with each class."""
        counts = [source.num_ids_per_class for source in self.sources]
        return np.sum(counts, axis=0).tolist()

    def get_cat_ids(self, idx: int) -> list[int]:
        """Classes of an image's objects."""
        number, index = self._get_ori_dataset_idx(idx)
        source = self.sources[number]  # without its repeats
        return source.get_cat_ids(index % len(source))

    def images_of_sequence(self, idx: int) -> range:
        """The images of an image's sequence, within one repeat of its source."""
        number, index = self._get_ori_dataset_idx(idx)
        source = self.sources[number]
        first = idx - index % len(source)
        images = source.images_of_sequence(index % len(source))
        return range(first + images.start, first + images.stop)

    def summary(self) -> str:
        """A table with a line per source and their total."""
        self.full_init()
        counts = [
            {**source.counts(), "images an epoch": times * len(source)}
            for source, times in zip(self.sources, self.repeats, strict=True)
        ]
        numbers = [Column(name, justify="right") for name in counts[0]]
        table = Table(Column("source", overflow="fold"), *numbers)
        for source, count in zip(self.sources, counts, strict=True):
            table.add_row(source.name, *map(_grouped, count.values()))
        table.add_section()
        totals = (sum(count[name] for count in counts) for name in counts[0])
        table.add_row("total", *map(_grouped, totals))
        out = io.StringIO()
        Console(file=out, width=120).print(table)
        return out.getvalue()


def _grouped(number: int) -> str:
    return f"{number:,}".replace(",", " ")


def _build(config: dict, defaults: dict) -> FrameDataset:
    source = config
    if isinstance(config, dict):
        given = {key: value for key, value in defaults.items() if value is not None}
        source = DATASETS.build({**given, **config})
    if not isinstance(source, FrameDataset):
        raise TypeError(
            f"{type(source).__name__} is no source of identities: list sources such as "
            "MOTFrameDataset directly; repeats are an option of JointDataset"
        )
    return source


def _check_fit(first: FrameDataset, source: FrameDataset) -> None:
    if source.metainfo["classes"] != first.metainfo["classes"]:
        raise ValueError(
            f"{first.name} has the classes {first.metainfo['classes']} and "
            f"{source.name} {source.metainfo['classes']}: give all sources the same "
            "metainfo.classes"
        )
    if source.per_class_ids != first.per_class_ids:
        raise ValueError(
            f"{source.name}: per_class_ids={source.per_class_ids}, but "
            f"{first.per_class_ids} in {first.name}: choose one for all sources"
        )
