"""Detections of a video in a file, so that they can be tracked again and again.

A dump is ``NAME.parquet``, a row per detection: ``frame`` (from 1), ``x1``, ``y1``,
``x2``, ``y2`` in pixels of the image, ``score``, ``label`` (from 0) and ``embedding``
in half precision. What belongs to the video or to a frame is in the file's metadata.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from .boxes import xywh_to_xyxy
from .mot import MOTSequence, find_sequences
from .tables import check_keys, read_table

if TYPE_CHECKING:  # an extra, imported when it is first used
    import pyarrow as pa

_KEY, _MOTIONS = b"fairmot_mm.detections", b"fairmot_mm.camera_motions"
_VERSION = 1
_FRAMES_PER_GROUP = 64


class FrameDetections(NamedTuple):
    """Detections of one frame.

    Attributes:
        bboxes: (K, 4) float32 xyxy in pixels of the image.
        scores: (K,) float32.
        labels: (K,) int64.
        embeddings: (K, D) float32 of values that half precision holds; D may be 0.
        camera_motion: (2, 3) float64, takes pixels of the frame before to this one's;
            None if it is not known.
    """

    bboxes: np.ndarray
    scores: np.ndarray
    labels: np.ndarray
    embeddings: np.ndarray
    camera_motion: np.ndarray | None = None

    def as_written(self, min_score: float) -> FrameDetections:
        """What a dump gives back: embeddings rounded, low scores left out."""
        kept = ~(self.scores <= min_score)  # NaN as well: the tracker counts them
        return FrameDetections(
            self.bboxes[kept].astype(np.float32),
            self.scores[kept].astype(np.float32),
            self.labels[kept].astype(np.int64),
            self.embeddings[kept].astype(np.float16).astype(np.float32),
            self.camera_motion,
        )


@dataclass(frozen=True)
class DumpInfo:
    """What a dump says about its video and its network.

    Attributes:
        name: Name of the sequence, and of its result file.
        first: First frame, from 1.
        last: Last frame, inclusive.
        frame_rate: Frames per second.
        height: Height of the frames in pixels; 0 if not known.
        width: Width of the frames in pixels; 0 if not known.
        in_folder: Whether the video is a MOTChallenge folder.
        classes: Names of the labels.
        min_score: Detections scoring no higher were left out.
        config: Name of the config of the network.
        network: Digest of the network's description in the config; empty for
            detections from elsewhere.
        weights: Digest of its weights.
        camera: Config of the estimator of the camera's motion; None if there are no
            motions.
        tracking: What the run's config says about tracking: ``model`` with the tracker,
            ``test_evaluator``; None for detections from elsewhere.
    """

    name: str
    first: int
    last: int
    frame_rate: float
    height: int = 0
    width: int = 0
    in_folder: bool = True
    classes: Sequence[str] = ("pedestrian",)
    min_score: float = 0.0
    config: str = ""
    network: str = ""
    weights: str = ""
    camera: dict | None = None
    tracking: dict | None = None


@dataclass(frozen=True)
class DetectionDump:
    """Detections of a video, sorted by frame.

    Attributes:
        info: What is known about the video.
        source: The file.
        frames: (N,) int64, from 1.
        bboxes: (N, 4) float32 xyxy.
        scores: (N,) float32.
        labels: (N,) int64.
        embeddings: (N, D) float16 or float32; D may be 0.
        camera_motions: (n, 2, 3) float64, for each of the n frames; None if not known.
    """

    info: DumpInfo
    source: Path
    frames: np.ndarray
    bboxes: np.ndarray
    scores: np.ndarray
    labels: np.ndarray
    embeddings: np.ndarray
    camera_motions: np.ndarray | None = None

    def __len__(self) -> int:
        """Number of frames."""
        return self.info.last - self.info.first + 1

    def rows(self, frame: int) -> slice:
        """Rows of a frame."""
        return slice(*np.searchsorted(self.frames, (frame, frame + 1)))

    def frame(self, number: int) -> FrameDetections:
        """Detections of a frame, numbered from ``info.first``."""
        rows = self.rows(number)
        motions = self.camera_motions
        return FrameDetections(
            self.bboxes[rows].copy(),
            self.scores[rows].copy(),
            self.labels[rows].copy(),
            self.embeddings[rows].astype(np.float32),
            None if motions is None else motions[number - self.info.first],
        )


class DumpWriter:
    """Writes a dump frame by frame; the file is whole or not there.

    Args:
        folder: Folder of the dumps; created if missing.
        info: Its ``last`` frame is set by the frames that come.

    Raises:
        ModuleNotFoundError: pyarrow is not installed.
    """

    def __init__(self, folder: Path, info: DumpInfo) -> None:
        self._parquet = _import_parquet()
        self.info = replace(info, last=info.first - 1)
        self.path = folder / f"{info.name}.parquet"
        self._partial = folder / f".{info.name}.parquet.partial"
        folder.mkdir(parents=True, exist_ok=True)
        self._frames: list[FrameDetections] = []
        self._motions: list[np.ndarray] = []
        self._writer: Any = None  # pyarrow's

    def write(self, detections: FrameDetections) -> None:
        """Add the next frame, as :meth:`FrameDetections.as_written` gives it."""
        self.info = replace(self.info, last=self.info.last + 1)
        self._frames.append(detections)
        if detections.camera_motion is not None:
            self._motions.append(detections.camera_motion)
        if len(self._frames) == _FRAMES_PER_GROUP:
            self._flush()

    def close(self) -> None:
        """Finish the file."""
        self._flush()
        assert self._writer is not None  # _flush() opened it
        info = dict(asdict(self.info), version=_VERSION)
        metadata = {_KEY: json.dumps(info).encode()}
        if self._motions:
            motions = np.stack(self._motions).astype("<f8")
            metadata[_MOTIONS] = motions.tobytes().hex().encode()
        self._writer.add_key_value_metadata(metadata)
        self._writer.close()
        self._partial.replace(self.path)

    def discard(self) -> None:
        """Leave no file."""
        if self._writer is not None:
            with suppress(OSError):  # of the error that led here, e.g. a full disk
                self._writer.close()
        self._partial.unlink(missing_ok=True)

    def _flush(self) -> None:
        if self._writer is not None and not self._frames:
            return
        first = self.info.last - len(self._frames) + 1
        table = _table(self._frames, first)
        if self._writer is None:
            self._writer = self._parquet.ParquetWriter(
                self._partial, table.schema, compression="zstd"
            )
        self._writer.write_table(table)
        self._frames = []


def read_dump(path: Path) -> DetectionDump:
    """Read ``NAME.parquet``.

    Raises:
        ModuleNotFoundError: pyarrow is not installed.
        ValueError: It is no dump, cut off, or of another version.
    """
    parquet = _import_parquet()
    try:
        file = parquet.ParquetFile(path)
        metadata, table = file.metadata.metadata or {}, file.read()
    except (OSError, ValueError) as error:  # pyarrow's errors are both
        raise ValueError(
            f"{path}: no dump of detections, or cut off ({error}); write it again by "
            "tools/test.py --dump"
        ) from error
    if _KEY not in metadata:
        raise ValueError(
            f"{path}: a Parquet file, but no dump of tools/test.py --dump: the key "
            f"{_KEY.decode()} is missing in its metadata"
        )
    settings = json.loads(metadata[_KEY])
    version = settings.pop("version")
    if version != _VERSION:
        raise ValueError(
            f"{path}: dump of version {version}, expected {_VERSION}: write it again "
            "by tools/test.py --dump"
        )
    info = DumpInfo(**settings)
    motions = None
    if _MOTIONS in metadata:
        motions = np.frombuffer(bytes.fromhex(metadata[_MOTIONS].decode()), "<f8")
        motions = motions.reshape(-1, 2, 3)
    columns = {name: table[name].to_numpy() for name in ("frame", "score", "label")}
    embeddings = np.empty((table.num_rows, 0), np.float16)
    if "embedding" in table.column_names:
        lists = table["embedding"].combine_chunks()
        values = lists.flatten().to_numpy(zero_copy_only=False)
        embeddings = values.reshape(table.num_rows, lists.type.list_size)
    return DetectionDump(
        info,
        path,
        frames=columns["frame"].astype(np.int64),
        bboxes=np.column_stack([table[x].to_numpy() for x in ("x1", "y1", "x2", "y2")]),
        scores=columns["score"],
        labels=columns["label"].astype(np.int64),
        embeddings=embeddings,
        camera_motions=motions,
    )


def read_public_detections(sequence: MOTSequence) -> DetectionDump:
    """Read ``det/det.txt`` of a MOTChallenge sequence.

    Lines are ``frame,-1,x,y,w,h,score[,...]``. Beside it, ``det/det.npy`` may hold a
    matrix (N, D): row i is the embedding of line i, for example of the crop.

    Raises:
        FileNotFoundError: There is no ``det/det.txt``.
        ValueError: ``FILE:LINE`` is malformed, or the matrix has other rows than the
            file has lines.
    """
    path = sequence.root / "det/det.txt"
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file of detections")
    table = read_table(path, 7)
    values = table.values
    # Detections have no identity (-1), which check_keys() would find twice.
    numbered = np.column_stack((values[:, 0], np.arange(len(values))))
    check_keys(replace(table, values=numbered), {0: "frame"}, sequence.length)
    embeddings = np.empty((len(values), 0), np.float32)
    matrix = path.with_suffix(".npy")
    if matrix.is_file():
        embeddings = np.load(matrix)
        if embeddings.ndim != 2 or len(embeddings) != len(values):
            raise ValueError(
                f"{matrix}: array of shape {embeddings.shape}, expected a row for each "
                f"of the {len(values)} lines of {path}"
            )
    order = np.argsort(values[:, 0], kind="stable")
    values, embeddings = values[order], embeddings[order]
    return DetectionDump(
        DumpInfo(
            sequence.name,
            1,
            sequence.length,
            sequence.frame_rate,
            sequence.height,
            sequence.width,
            min_score=float("-inf"),
        ),
        path,
        frames=values[:, 0].astype(np.int64),
        bboxes=xywh_to_xyxy(values[:, 2:6]).astype(np.float32),
        scores=values[:, 6].astype(np.float32),
        labels=np.zeros(len(values), np.int64),
        embeddings=embeddings,
    )


def read_dumps(
    folder: str | Path, names: Iterable[str] | None = None
) -> dict[str, DetectionDump]:
    """Read the dumps of a folder, or the detections of MOTChallenge folders in it.

    Args:
        folder: Folder of ``NAME.parquet``; if there is none, of sequences with
            ``det/det.txt``.
        names: Sequences to take, in this order; all, sorted, if None.

    Returns:
        The detections by the name of the sequence.

    Raises:
        FileNotFoundError: The folder is missing, or holds neither.
        ValueError: A sequence of ``names`` is missing, a file is malformed, or the
            dumps are of several networks.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder}: no such folder of detections")
    paths = {path.stem: path for path in sorted(folder.glob("[!.]*.parquet"))}
    if not paths:
        found = find_sequences(folder, names) if _has_public(folder) else []
        if not found:
            raise FileNotFoundError(
                f"{folder}: no detections, expected NAME.parquet (tools/test.py "
                "--dump) or SEQUENCE/det/det.txt"
            )
        return {sequence.name: read_public_detections(sequence) for sequence in found}
    chosen = list(paths if names is None else names)
    missing = [name for name in chosen if name not in paths]
    if missing:
        raise ValueError(
            f"{folder}: no dump of {', '.join(missing)}; there is {', '.join(paths)}"
        )
    dumps = {name: read_dump(paths[name]) for name in chosen}
    one, *others = dumps.values()
    for other in others:
        if other.info.weights != one.info.weights:
            raise ValueError(
                f"{other.source} is a dump of another network ({other.info.config}) "
                f"than {one.source} ({one.info.config}): keep them in folders of their "
                "own"
            )
    return dumps


def _has_public(folder: Path) -> bool:
    return (folder / "det/det.txt").is_file() or any(folder.glob("*/det/det.txt"))


def _table(frames: Sequence[FrameDetections], first: int) -> pa.Table:
    """Rows of consecutive frames; there is at least one."""
    import pyarrow as pa

    counts = [len(found.scores) for found in frames]
    numbers = np.repeat(np.arange(first, first + len(frames)), counts)
    nothing = [np.empty((0, 0), np.float32)]
    boxes = np.concatenate([np.empty((0, 4)), *(found.bboxes for found in frames)])
    embeddings = [found.embeddings for found in frames] or nothing
    vectors = np.concatenate(embeddings).astype(np.float16)
    columns = {"frame": pa.array(numbers, pa.int32())}
    for i, name in enumerate(("x1", "y1", "x2", "y2")):
        columns[name] = pa.array(boxes[:, i], pa.float32())
    scores = np.concatenate([np.empty(0), *(found.scores for found in frames)])
    labels = np.concatenate([np.empty(0, int), *(found.labels for found in frames)])
    columns["score"] = pa.array(scores, pa.float32())
    columns["label"] = pa.array(labels, pa.int16())
    if vectors.shape[1]:
        columns["embedding"] = pa.FixedSizeListArray.from_arrays(
            pa.array(vectors.ravel(), pa.float16()), vectors.shape[1]
        )
    return pa.table(columns)


def _import_parquet() -> ModuleType:
    try:
        from pyarrow import parquet
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            "dumps of detections need pyarrow: pip install 'fairmot_mm[tune]'"
        ) from error
    return parquet
