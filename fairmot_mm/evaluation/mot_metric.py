"""The metric of the tracking loops: result files, and figures where it can."""

from __future__ import annotations

import contextlib
import itertools
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.dist import get_world_size
from mmengine.evaluator import BaseMetric
from mmengine.logging import MMLogger

from fairmot_mm.formats.mot import MOTSequence, check_unique_names, read_sequence
from fairmot_mm.formats.mot_results import result_rows, write_results
from fairmot_mm.registry import METRICS

from .interpolation import interpolate_gaps
from .protocol import BACKENDS, COMBINED, format_table

# Folder of the sequence, first and last evaluated frame.
_Video = tuple[str, tuple[int, int]]


@dataclass(frozen=True)
class _Frame:
    """The tracks of one frame.

    Attributes:
        root: Folder of the sequence.
        frame_range: First and last evaluated frame of the sequence, from 1.
        number: Number of the frame in the sequence, from 1.
        rows: (N, 7): frame, id, x, y, w, h, score.
    """

    root: str
    frame_range: tuple[int, int]
    number: int
    rows: np.ndarray


@METRICS.register_module()
class MOTMetric(BaseMetric):
    """Write tracks as MOTChallenge result files and score them.

    Sequences with ground truth are scored against their raw ``gt.txt`` under the
    benchmark's protocol; the others, as those of a test split, only get their file.
    The figures are the combined ones over all sequences: ``mot/HOTA``, ``mot/MOTA``,
    ... of TrackEval and ``mot/motmetrics/MOTA``, ... of motmetrics.

    Every frame comes as a ``DetDataSample`` with ``pred_track_instances`` and the meta
    information ``sequence_root``, ``frame_number`` (from 1) and ``frame_range`` (first
    and last evaluated frame, from 1, inclusive).

    Args:
        backends: What to score by: ``'trackeval'``, ``'motmetrics'`` or both.
        outfile_prefix: Folder for the result files, ``NAME.txt``. If None, they do
            not outlive the evaluation.
        format_only: Write the files, score nothing.
        label: Only tracks of this class are written and scored, that of pedestrians
            in the order of ``metainfo.classes``: the benchmark knows no other. All
            tracks if None, as for a model of one class.
        max_gap: Gaps of tracks of at most this many frames are filled by straight
            lines, see :func:`interpolate_gaps`; 0 fills none. Looks into the future:
            not for online figures.
        collect_device: ``'cpu'`` or ``'gpu'``, as for every metric.
        prefix: Prefix of the figures' names. Defaults to ``'mot'``.

    Raises:
        ValueError: A backend is unknown, ``format_only`` has nowhere to write, or
            ``max_gap`` is negative.
    """

    default_prefix = "mot"

    def __init__(
        self,
        backends: Sequence[str] = ("trackeval", "motmetrics"),
        outfile_prefix: str | None = None,
        format_only: bool = False,
        label: int | None = None,
        max_gap: int = 0,
        collect_device: str = "cpu",
        prefix: str | None = None,
    ) -> None:
        super().__init__(collect_device=collect_device, prefix=prefix)
        unknown = [backend for backend in backends if backend not in BACKENDS]
        if unknown:
            raise ValueError(
                f"backends: unknown {unknown}, expected some of {list(BACKENDS)}"
            )
        if format_only and outfile_prefix is None:
            raise ValueError("format_only needs outfile_prefix, a folder to write to")
        if max_gap < 0:
            raise ValueError(f"{max_gap=}: give a number of frames, 0 for no filling")
        self.backends = tuple(backends)
        self.outfile_prefix = outfile_prefix
        self.format_only = format_only
        self.label = label
        self.max_gap = max_gap

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Keep the tracks of a batch, frames without any included.

        Args:
            data_batch: Not used.
            data_samples: ``TrackDataSample`` as dicts.
        """
        for data_sample in data_samples:
            for frame in data_sample["video_data_samples"]:
                tracks = frame.pred_track_instances
                if self.label is not None:
                    tracks = tracks[tracks.labels == self.label]
                self.results.append(
                    _Frame(
                        root=str(frame.sequence_root),
                        frame_range=tuple(frame.frame_range),
                        number=int(frame.frame_number),
                        rows=result_rows(frame.frame_number, tracks),
                    )
                )

    def evaluate(self, size: int) -> dict[str, float]:
        """Write and score what all processes kept.

        Args:
            size: Not used: a data set's length is in videos or frames, and the
                processes' shares of frames differ.

        Returns:
            The figures, the same in every process.
        """
        # The toolbox collects equal shares only, so each process gives one item: the
        # list of all its frames, which may be empty.
        self.results = [self.results]
        return super().evaluate(get_world_size())

    def compute_metrics(self, results: list[list[_Frame]]) -> dict[str, float]:
        """Write and score the frames of all processes (in the main one only).

        Args:
            results: Frames by process.
        """
        logger = MMLogger.get_current_instance()
        tracks = _join_frames(itertools.chain.from_iterable(results))
        if not tracks:
            logger.warning("MOTMetric got no frames: nothing to write or score")
            return {}
        sequences = [read_sequence(root) for root, _ in tracks]
        check_unique_names(sequences)
        frame_ranges = {
            sequence.name: frame_range
            for sequence, (_, frame_range) in zip(sequences, tracks, strict=True)
        }
        with self._output_folder() as folder:
            for sequence, rows in zip(sequences, tracks.values(), strict=True):
                if self.max_gap:
                    rows = interpolate_gaps(rows, self.max_gap)
                write_results(Path(folder) / f"{sequence.name}.txt", rows)
            if self.outfile_prefix is not None:
                logger.info(f"wrote {len(sequences)} result files to {folder}")
            if self.format_only:
                return {}
            return self._score(sequences, frame_ranges, folder)

    def _output_folder(self) -> contextlib.AbstractContextManager[str]:
        """The folder for the result files, a passing one if none is set."""
        if self.outfile_prefix is not None:
            return contextlib.nullcontext(self.outfile_prefix)
        return tempfile.TemporaryDirectory()

    def _score(
        self,
        sequences: Sequence[MOTSequence],
        frame_ranges: dict[str, tuple[int, int]],
        folder: str,
    ) -> dict[str, float]:
        """Combined figures of the sequences that have ground truth."""
        logger = MMLogger.get_current_instance()
        scored = [sequence for sequence in sequences if sequence.gt_path.is_file()]
        others = [sequence.name for sequence in sequences if sequence not in scored]
        if others:
            logger.info(f"no ground truth, so no figures: {', '.join(others)}")
        if not scored:
            return {}
        frames = {sequence.name: frame_ranges[sequence.name] for sequence in scored}
        combined: dict[str, float] = {}
        for backend in self.backends:
            figures = BACKENDS[backend](scored, folder, frames)
            logger.info(f"{backend}:\n{format_table(figures)}")
            prefix = "" if backend == "trackeval" else f"{backend}/"
            # As floats: the runner's JSON loses whole numbers on their way through it.
            combined |= {prefix + key: float(x) for key, x in figures[COMBINED].items()}
        return combined


def _join_frames(frames: Iterable[_Frame]) -> dict[_Video, np.ndarray]:
    """Rows by video, in an order that does not depend on who tracked what.

    A sampler may repeat frames to fill up a process' share: the first one counts.
    """
    videos: dict[_Video, dict[int, np.ndarray]] = {}
    for frame in frames:
        video = videos.setdefault((frame.root, frame.frame_range), {})
        video.setdefault(frame.number, frame.rows)
    return {key: np.concatenate(list(videos[key].values())) for key in sorted(videos)}
