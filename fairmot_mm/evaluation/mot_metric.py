import tempfile
from collections.abc import Callable, Mapping, Sequence
from itertools import groupby
from operator import itemgetter
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
from .frame_metric import FrameMetric, Frames, Video
from .interpolation import interpolate_gaps


class _Frame(NamedTuple):
    """What is kept of a frame."""

    results: np.ndarray  # (N, 8) frame, id, x, y, w, h, score, class from 1
    truth: np.ndarray | None  # (M, 8) frame, id, x, y, w, h, mark, class from 1
    in_folder: bool  # whether the ground truth is in a MOTChallenge folder


class _Video(NamedTuple):
    """All frames of a video together."""

    name: str
    frames: tuple[int, int]  # first and last evaluated one
    sequence: MOTSequence | None  # if it is a MOTChallenge folder
    results: np.ndarray
    truth: np.ndarray | None


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

    Every frame is a ``DetDataSample`` with ``pred_track_instances``, the metas of
    :class:`FrameMetric` and, without ``sequence_root``, a MOTChallenge folder,
    ``gt_instances`` and ``ignored_instances``.

    Args:
        backends: ``'trackeval'``, ``'motmetrics'`` or both.
        outfile_prefix: Folder for the result files, ``NAME.txt``. If None, they are
            deleted after the evaluation.
        format_only: Write the files, score nothing.
        label: Write and score the tracks of this class only, an index into
            ``metainfo.classes``, as the benchmark scores pedestrians alone. If None,
            all tracks, as for a model of one class.
        classes: Names of the classes to score, of ``metainfo.classes``. If None, all of
            them, and pedestrians alone in MOTChallenge sequences. Of other classes all
            boxes count there, as the benchmark marks none of them as considered.
        max_gap: Fill gaps of up to this many frames, see :func:`interpolate_gaps`;
            0 fills none. Uses future frames: not for online figures.
        **kwargs: For :class:`FrameMetric`.

    Raises:
        ValueError: A backend or a class is unknown, ``format_only`` has no folder,
            ``max_gap`` is negative, or the test data have no identities.
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
        if unknown := [backend for backend in backends if backend not in BACKENDS]:
            raise ValueError(f"backends: unknown {unknown}, choose from {BACKENDS}")
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

    @FrameMetric.dataset_meta.setter
    def dataset_meta(self, dataset_meta: dict) -> None:
        """Metainfo of the test data, which is checked before they are tracked."""
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

    def compute_metrics(self, results: Frames) -> dict[str, float]:
        """Write and score the frames."""
        by_video = groupby(results, itemgetter(0))
        videos = [_join(video, [x for *_, x in frames]) for video, frames in by_video]
        if not videos:
            logger = MMLogger.get_current_instance()
            logger.warning("MOTMetric got no frames: nothing to write or score")
            return {}
        sequences = [x.sequence for x in videos if x.sequence is not None]
        if 0 < len(sequences) < len(videos):
            raise ValueError(
                f"MOTMetric: {len(sequences)} of {len(videos)} videos are MOTChallenge "
                "folders: test these and the others separately"
            )
        check_unique_names(sequences)
        if self.outfile_prefix is not None:
            return self._write_and_score(videos, Path(self.outfile_prefix))
        with tempfile.TemporaryDirectory() as folder:
            return self._write_and_score(videos, Path(folder))

    def _write_and_score(self, videos: list[_Video], folder: Path) -> dict[str, float]:
        logger = MMLogger.get_current_instance()
        benchmark = videos[0].sequence is not None
        labels = (self.dataset_meta or {}).get("classes", ())
        several = len(labels) > 1 and not benchmark
        with_classes = self.classes is not None or several
        for video in videos:
            rows = video.results
            if self.max_gap:
                rows = interpolate_gaps(rows, self.max_gap)
            classes = rows[:, 7] if with_classes else None
            write_results(folder / f"{video.name}.txt", rows[:, :7], classes)
        if self.outfile_prefix is not None:
            logger.info(f"wrote {len(videos)} result files to {folder}")
        if self.format_only:
            return {}
        cases = _read_cases(videos, folder, with_classes)
        scored = {case.name for case in cases}
        if others := [video.name for video in videos if video.name not in scored]:
            logger.info(f"no ground truth, so no figures: {', '.join(others)}")
        if not cases:
            return {}
        if not with_classes:
            return self._score(evaluate, cases)
        names = self.classes or labels
        places = {name: labels.index(name) + 1 for name in names}
        numbers = {name: ClassNumbers(place, place) for name, place in places.items()}
        if benchmark:
            numbers = mot_classes(names, labels)
        return self._score(evaluate_by_class, by_class(cases, numbers))

    def _score(self, score: Callable, cases: Sequence | Mapping) -> dict[str, float]:
        """Combined figures, or those of each class, by all backends."""
        logger = MMLogger.get_current_instance()
        found: dict[str, float] = {}
        for backend in self.backends:
            figures = score(cases, backend)
            rows = "Sequence" if COMBINED in figures else "Class"
            logger.info(f"{backend}:\n{format_table(figures, rows)}")
            prefix = "" if backend == "trackeval" else f"{backend}/"
            for name, of_name in figures.items():
                if COMBINED not in figures or name == COMBINED:
                    start = prefix if name == COMBINED else f"{prefix}{name}/"
                    # As floats: the runner's JSON drops whole numbers.
                    found |= {f"{start}{key}": float(x) for key, x in of_name.items()}
        return found


def _truth_rows(frame: DetDataSample) -> np.ndarray | None:
    """What ``gt.txt`` would say of a frame, (M, 8) with the class from 1."""
    objects = frame.get("gt_instances", {})
    if "bboxes" not in objects:
        return None
    ignored = frame.get("ignored_instances", {}).get("bboxes", np.empty((0, 4)))
    boxes = np.append(to_numpy(objects.bboxes), to_numpy(ignored)).reshape(-1, 4)
    no_object = np.full(len(ignored), -1)
    ids = np.append(to_numpy(objects.instances_ids), no_object)
    classes = np.append(to_numpy(objects.labels), no_object) + 1
    frames, boxes = np.full(len(ids), frame.frame_number), boxes.astype(float)
    return np.column_stack((frames, ids, xyxy_to_xywh(boxes), ids >= 0, classes))


def _join(video: Video, parts: Sequence[_Frame]) -> _Video:
    """The rows of a video from those of its frames."""
    name, frames = video
    sequence = read_sequence(name) if parts[0].in_folder else None
    truths = [part.truth for part in parts if part.truth is not None]
    return _Video(
        name if sequence is None else sequence.name,
        frames,
        sequence,
        np.concatenate([part.results for part in parts]),
        np.concatenate(truths) if len(truths) == len(parts) else None,
    )


def _read_cases(videos: list[_Video], folder: Path, with_classes: bool) -> list[Case]:
    """What is scored: the videos that have ground truth, in a folder or in samples."""
    ranges, sequences, cases = {}, [], []
    for name, (first, last), sequence, _, truth in videos:
        if sequence is not None and sequence.gt_path.is_file():
            sequences.append(sequence)
            ranges[name] = first, last
        elif truth is not None:
            results = read_results(folder / f"{name}.txt", last, with_classes)
            annotations = MOTAnnotations.from_columns(truth, np.zeros(len(truth), int))
            case = Case(name, name, last, annotations, results).between(first, last)
            cases.append(case if with_classes else case.of_class(ClassNumbers(1, 1)))
    return load_cases(sequences, folder, ranges, with_classes) if sequences else cases
