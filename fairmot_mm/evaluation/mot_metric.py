"""The metric of the tracking loops: result files, and figures from ground truth."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterable, Sequence
from itertools import chain
from pathlib import Path

import numpy as np
from mmengine.dist import broadcast_object_list, gather_object, is_main_process
from mmengine.evaluator import BaseMetric
from mmengine.logging import MMLogger

from fairmot_mm.formats.mot import MOTSequence, check_unique_names, read_sequence
from fairmot_mm.formats.mot_results import result_rows, write_results
from fairmot_mm.registry import METRICS

from .backends import BACKENDS, evaluate
from .cases import load_cases
from .figures import COMBINED, format_table
from .interpolation import interpolate_gaps

# Folder of the sequence; first and last evaluated frame, from 1.
_Video = tuple[str, tuple[int, int]]
# Number in the sequence, from 1; (N, 7) frame, id, x, y, w, h, score.
_Frame = tuple[_Video, int, np.ndarray]


@METRICS.register_module()
class MOTMetric(BaseMetric):
    """Write tracks as MOTChallenge result files and score them.

    Sequences with ground truth are scored against their raw ``gt.txt`` under the
    benchmark's protocol; others, such as a test split's, only get their file. The
    figures are the combined ones of all sequences: ``mot/HOTA``, ``mot/MOTA``, ... of
    TrackEval and ``mot/motmetrics/MOTA``, ... of motmetrics.

    Every frame is a ``DetDataSample`` with ``pred_track_instances`` and the metas
    ``sequence_root``, ``frame_number`` (from 1) and ``frame_range`` (first and last
    evaluated frame, from 1, inclusive).

    Args:
        backends: ``'trackeval'``, ``'motmetrics'`` or both.
        outfile_prefix: Folder for the result files, ``NAME.txt``. If None, they are
            deleted after the evaluation.
        format_only: Write the files, score nothing.
        label: Only tracks of this class are written and scored, an index into
            ``metainfo.classes``: the benchmark knows pedestrians only. All tracks if
            None, as for a model of one class.
        max_gap: Fill gaps of up to this many frames, see :func:`interpolate_gaps`;
            0 fills none. Uses future frames: not for online figures.
        **kwargs: For ``BaseMetric``. ``collect_device`` has no effect: frames are
            collected through the process group.

    Raises:
        ValueError: A backend is unknown, ``format_only`` has nowhere to write, or
            ``max_gap`` is negative.
    """

    default_prefix = "mot"

    def __init__(
        self,
        backends: Sequence[str] = BACKENDS,
        outfile_prefix: str | None = None,
        format_only: bool = False,
        label: int | None = None,
        max_gap: int = 0,
        **kwargs: object,
    ) -> None:
        super().__init__(**kwargs)
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
        self.results: list

    def process(self, data_batch: object, data_samples: Sequence[dict]) -> None:
        """Keep the tracks of a batch, including frames without any.

        Args:
            data_batch: Not used.
            data_samples: ``TrackDataSample`` as dicts.
        """
        for data_sample in data_samples:
            for frame in data_sample["video_data_samples"]:
                tracks = frame.pred_track_instances
                if self.label is not None:
                    tracks = tracks[tracks.labels == self.label]
                video = str(frame.sequence_root), tuple(frame.frame_range)
                rows = result_rows(frame.frame_number, tracks)
                self.results.append((video, int(frame.frame_number), rows))

    def evaluate(self, size: int) -> dict[str, float]:
        """Write and score the frames of all processes.

        Args:
            size: Not used: it counts videos or frames, and processes have unequal
                shares of frames.

        Returns:
            The figures, the same in every process.
        """
        # Through the process group: the toolbox's own way takes equal shares, and files
        # in a folder that all machines would have to share.
        gathered = gather_object(self.results)
        self.results = []
        figures: list = [None]
        if is_main_process():
            found = self.compute_metrics(list(chain.from_iterable(gathered)))
            figures = [{f"{self.prefix}/{key}": x for key, x in found.items()}]
        broadcast_object_list(figures)
        return figures[0]

    def compute_metrics(self, results: list[_Frame]) -> dict[str, float]:
        """Write and score the frames of all processes (in the main one only)."""
        logger = MMLogger.get_current_instance()
        tracks = _join_frames(results)
        if not tracks:
            logger.warning("MOTMetric got no frames: nothing to write or score")
            return {}
        sequences = [read_sequence(root) for root, _ in tracks]
        check_unique_names(sequences)
        with contextlib.ExitStack() as stack:
            folder = self.outfile_prefix
            if folder is None:
                folder = stack.enter_context(tempfile.TemporaryDirectory())
            for sequence, rows in zip(sequences, tracks.values(), strict=True):
                if self.max_gap:
                    rows = interpolate_gaps(rows, self.max_gap)
                write_results(Path(folder) / f"{sequence.name}.txt", rows)
            if self.outfile_prefix is not None:
                logger.info(f"wrote {len(sequences)} result files to {folder}")
            if self.format_only:
                return {}
            ranges = [frame_range for _, frame_range in tracks]
            return self._score(sequences, ranges, folder)

    def _score(
        self,
        sequences: Sequence[MOTSequence],
        frame_ranges: Sequence[tuple[int, int]],
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
        frames = {
            sequence.name: frame_range
            for sequence, frame_range in zip(sequences, frame_ranges, strict=True)
            if sequence in scored
        }
        cases = load_cases(scored, folder, frames)
        combined: dict[str, float] = {}
        for backend in self.backends:
            figures = evaluate(cases, backend)
            logger.info(f"{backend}:\n{format_table(figures)}")
            prefix = "" if backend == "trackeval" else f"{backend}/"
            # As floats: the runner's JSON drops whole numbers.
            combined |= {prefix + key: float(x) for key, x in figures[COMBINED].items()}
        return combined


def _join_frames(frames: Iterable[_Frame]) -> dict[_Video, np.ndarray]:
    """Rows by video, in an order that does not depend on who tracked what.

    A sampler may repeat frames to fill up a process' share: the first one counts.
    """
    videos: dict[_Video, dict[int, np.ndarray]] = {}
    for video, number, rows in frames:
        videos.setdefault(video, {}).setdefault(number, rows)
    return {key: np.concatenate(list(videos[key].values())) for key in sorted(videos)}
