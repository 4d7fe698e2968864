"""The metric of the tracking loops: result files, and figures from ground truth."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from mmdet.structures import DetDataSample
from mmengine.logging import MMLogger

from fairmot_mm.formats.boxes import xyxy_to_xywh
from fairmot_mm.formats.mot import (
    MOTAnnotations,
    MOTSequence,
    check_unique_names,
    read_sequence,
)
from fairmot_mm.formats.mot_results import read_results, result_rows, write_results
from fairmot_mm.registry import METRICS
from fairmot_mm.structures.arrays import to_numpy

from .backends import BACKENDS, evaluate, evaluate_by_class
from .cases import Case, ClassNumbers, by_class, load_cases, mot_classes
from .figures import COMBINED, format_table
from .frame_metric import FrameMetric, join_frames
from .interpolation import interpolate_classes


class _Frame(NamedTuple):
    """Rows of results and of ground truth, of a frame or of all frames of a video."""

    results: np.ndarray  # (N, 8) frame, id, x, y, w, h, score, class from 1
    truth: np.ndarray | None  # (M, 8) frame, id, x, y, w, h, mark, class from 1
    in_folder: bool  # whether the ground truth is in a MOTChallenge folder


@METRICS.register_module()
class MOTMetric(FrameMetric):
    """Write tracks as MOTChallenge result files and score them.

    MOTChallenge sequences with ground truth are scored against their raw ``gt.txt``
    under the benchmark's protocol; others, such as a test split's, only get their file.
    The figures are the combined ones of all sequences: ``mot/HOTA``, ``mot/MOTA``, ...
    of TrackEval and ``mot/motmetrics/MOTA``, ... of motmetrics.

    Other videos bring their ground truth in the samples, as those of
    :class:`AnnotatedVideoDataset`, and are scored by class under the plain protocol of
    :meth:`.Case.of_class`; objects without identity are ignored regions. The figures
    of several classes, and of MOTChallenge sequences with ``classes``, are
    ``mot/car/HOTA``, ..., and combined ``mot/class_averaged/HOTA``, ... (classes
    without ground truth are left out) and ``mot/detection_averaged/HOTA``, ...; in the
    files the eighth column is the class, from 1.

    Every frame is a ``DetDataSample`` with ``pred_track_instances``, the metas
    ``frame_number`` (from 1) and ``frame_range`` (first and last evaluated frame, from
    1, inclusive), and either the meta ``sequence_root``, a MOTChallenge folder, or the
    meta ``sequence_name`` with ``gt_instances`` and ``ignored_instances``.

    Args:
        backends: ``'trackeval'``, ``'motmetrics'`` or both.
        outfile_prefix: Folder for the result files, ``NAME.txt``. If None, they are
            deleted after the evaluation.
        format_only: Write the files, score nothing.
        label: Only tracks of this class are written and scored, an index into
            ``metainfo.classes``: the benchmark knows pedestrians only. All tracks if
            None, as for a model of one class.
        classes: Names of the classes to score, of ``metainfo.classes``. If None, all of
            them, and pedestrians alone in MOTChallenge sequences. In those, all boxes
            of a class other than ``pedestrian`` count, as the benchmark marks none of
            them as considered.
        max_gap: Fill gaps of up to this many frames, see :func:`.interpolate_gaps`;
            0 fills none. Uses future frames: not for online figures.
        **kwargs: For ``BaseMetric``. ``collect_device`` has no effect: frames are
            collected through the process group.

    Raises:
        ValueError: A backend or a class is unknown, ``format_only`` has nowhere to
            write, ``max_gap`` is negative, or the test data have no identities.
    """

    default_prefix = "mot"

    def __init__(
        self,
        backends: Sequence[str] = BACKENDS,
        outfile_prefix: str | None = None,
        format_only: bool = False,
        label: int | None = None,
        classes: Sequence[str] | str | None = None,
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
        if label is not None and classes is not None:
            raise ValueError(f"{label=} and {classes=}: give one of them")
        self.backends = tuple(backends)
        self.outfile_prefix = outfile_prefix
        self.format_only = format_only
        self.label = label
        # A single one on a command line is no list.
        self.classes = (classes,) if isinstance(classes, str) else classes
        self.max_gap = max_gap

    @property
    def dataset_meta(self) -> dict | None:
        """Metainfo of the test data, which is checked before they are tracked."""
        return self._dataset_meta

    @dataset_meta.setter
    def dataset_meta(self, dataset_meta: dict) -> None:
        if not (self.format_only or dataset_meta.get("has_identities", True)):
            raise ValueError(
                f"{dataset_meta['name']}: no identities that go on from frame to "
                "frame, so tracks cannot be scored: choose other test data, or "
                "dict(type='DetectionMetric') as the evaluator"
            )
        for name in self.classes or ():
            if name not in dataset_meta["classes"]:
                raise ValueError(
                    f"MOTMetric.classes: no {name!r} in the test data's "
                    f"metainfo.classes: {', '.join(dataset_meta['classes'])}"
                )
        self._dataset_meta = dataset_meta

    def read_frame(self, frame: DetDataSample) -> _Frame:
        """The tracks of a frame, and its ground truth if that is in the sample."""
        tracks = frame.pred_track_instances
        if self.label is not None:
            tracks = tracks[tracks.labels == self.label]
        rows = result_rows(frame.frame_number, tracks)
        in_folder = bool(frame.get("sequence_root"))
        return _Frame(
            np.column_stack((rows, to_numpy(tracks.labels) + 1)),
            None if in_folder else _truth_rows(frame),
            in_folder,
        )

    def compute_metrics(self, results: list[tuple]) -> dict[str, float]:
        """Write and score the frames of all processes (in the main one only)."""
        logger = MMLogger.get_current_instance()
        videos = {
            video: _join([*frames.values()])
            for video, frames in join_frames(results).items()
        }
        if not videos:
            logger.warning("MOTMetric got no frames: nothing to write or score")
            return {}
        sequences = [
            read_sequence(x) for (x, _), rows in videos.items() if rows.in_folder
        ]
        check_unique_names(sequences)
        names = [x.name for x in sequences] or [name for name, _ in videos]
        several = not sequences and len(self._labels) > 1
        with_classes = self.classes is not None or several
        with contextlib.ExitStack() as stack:
            folder = self.outfile_prefix
            if folder is None:
                folder = stack.enter_context(tempfile.TemporaryDirectory())
            paths = [Path(folder) / f"{name}.txt" for name in names]
            for path, found in zip(paths, videos.values(), strict=True):
                rows = interpolate_classes(found.results, self.max_gap)
                classes = rows[:, 7] if with_classes else None
                write_results(path, rows[:, :7], classes)
            if self.outfile_prefix is not None:
                logger.info(f"wrote {len(names)} result files to {folder}")
            if self.format_only:
                return {}
            if sequences:
                ranges = [frame_range for _, frame_range in videos]
                cases = _cases_of_folders(sequences, ranges, folder, with_classes)
            else:
                cases = [
                    _case_of_samples(path, frame_range, rows.truth, with_classes)
                    for path, (_, frame_range), rows in zip(
                        paths, videos, videos.values(), strict=True
                    )
                    if rows.truth is not None
                ]
        scored = [case.name for case in cases]
        if others := [name for name in names if name not in scored]:
            logger.info(f"no ground truth, so no figures: {', '.join(others)}")
        if not cases:
            return {}
        if with_classes:
            numbers = self._class_numbers(benchmark=bool(sequences))
            return self._score(evaluate_by_class, by_class(cases, numbers))
        return self._score(evaluate, cases)

    def _class_numbers(self, benchmark: bool) -> dict[str, ClassNumbers]:
        """The classes to score, in MOTChallenge's ground truth or in samples."""
        names = self.classes or self._labels
        if benchmark:
            return mot_classes(names, self._labels)
        labels = {name: self._labels.index(name) + 1 for name in names}
        return {name: ClassNumbers(x, x) for name, x in labels.items()}

    @property
    def _labels(self) -> Sequence[str]:
        """Names of the model's classes."""
        return (self.dataset_meta or {}).get("classes", ())

    def _score(self, score: Callable, cases: Sequence | Mapping) -> dict[str, float]:
        """Combined figures, or those of each class, by all backends."""
        logger = MMLogger.get_current_instance()
        found: dict[str, float] = {}
        for backend in self.backends:
            figures = score(cases, backend)
            rows = "Sequence" if COMBINED in figures else "Class"
            logger.info(f"{backend}:\n{format_table(figures, rows)}")
            prefix = "" if backend == "trackeval" else f"{backend}/"
            chosen = {f"{name}/": of_name for name, of_name in figures.items()}
            if COMBINED in figures:
                chosen = {"": figures[COMBINED]}
            # As floats: the runner's JSON drops whole numbers.
            found |= {
                f"{prefix}{name}{key}": float(x)
                for name, of_name in chosen.items()
                for key, x in of_name.items()
            }
        return found


def _truth_rows(frame: DetDataSample) -> np.ndarray | None:
    """What ``gt.txt`` would say of a frame, (M, 8) with the class from 1."""
    objects = frame.get("gt_instances", {})
    if "bboxes" not in objects:
        return None
    ignored = frame.get("ignored_instances", {})
    boxes = to_numpy(objects.bboxes).reshape(-1, 4)
    regions = to_numpy(ignored.get("bboxes", np.empty((0, 4)))).reshape(-1, 4)
    ids = np.append(to_numpy(objects.instances_ids), np.full(len(regions), -1))
    labels = np.append(to_numpy(objects.labels), np.full(len(regions), -1))
    corners = np.concatenate((boxes, regions)).astype(float)
    frames = np.full(len(ids), frame.frame_number)
    return np.column_stack((frames, ids, xyxy_to_xywh(corners), ids >= 0, labels + 1))


def _cases_of_folders(
    sequences: Sequence[MOTSequence],
    ranges: Sequence[tuple[int, int]],
    folder: str,
    with_classes: bool,
) -> list[Case]:
    """What is scored of MOTChallenge sequences that have ground truth."""
    scored = [sequence for sequence in sequences if sequence.gt_path.is_file()]
    frames = {
        sequence.name: frame_range
        for sequence, frame_range in zip(sequences, ranges, strict=True)
        if sequence in scored
    }
    return load_cases(scored, folder, frames, with_classes) if scored else []


def _case_of_samples(
    path: Path, frame_range: tuple[int, int], truth: np.ndarray, with_classes: bool
) -> Case:
    """What is scored of a video whose ground truth is in the samples."""
    first, last = frame_range
    results = read_results(path, last, with_classes)
    results[:, 0] -= first - 1
    annotations = MOTAnnotations(
        frames=truth[:, 0].astype(int) - (first - 1),
        ids=truth[:, 1].astype(int),
        boxes=truth[:, 2:6],
        marks=truth[:, 6].astype(int),
        classes=truth[:, 7].astype(int),
        visibility=np.ones(len(truth)),
        lines=np.zeros(len(truth), int),
    )
    case = Case(path.stem, path.stem, last - first + 1, annotations, results)
    return case if with_classes else case.of_class(ClassNumbers(1, 1))


def _join(frames: Sequence[_Frame]) -> _Frame:
    """The rows of a video from those of its frames."""
    truths = [frame.truth for frame in frames if frame.truth is not None]
    return _Frame(
        np.concatenate([frame.results for frame in frames]),
        np.concatenate(truths) if len(truths) == len(frames) else None,
        frames[0].in_folder,
    )
