"""Where the tracks of a stream go: files of results or records, videos."""

from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path

import numpy as np
from mmengine.structures import InstanceData

from fairmot_mm.formats.mot_results import result_lines, result_rows
from fairmot_mm.visualization import TrackDrawer

from .appending import FrameFile, check_writable
from .fragmented_video import FragmentedVideoWriter
from .frame import Frame
from .records import CsvSink, JsonLinesSink, ParquetSink, TrackRecords, import_pyarrow
from .rotation import Sink, free_path, sink_at
from .video_writer import VideoWriter

_WITH_EMBEDDINGS = (".jsonl", ".parquet")


class ResultsSink:
    """Writes a MOTChallenge result file frame by frame.

    Args:
        path: The file; its folder is created.
        with_classes: Write the class, from 1, in the eighth column.
    """

    def __init__(self, path: str | Path, with_classes: bool = False) -> None:
        self.with_classes, self._file = with_classes, FrameFile(path)

    def write(self, frame: Frame, tracks: InstanceData) -> None:
        """Append the tracks of a frame.

        Raises:
            OSError: See :meth:`FrameFile.append`.
        """
        classes = tracks.labels.numpy() + 1 if self.with_classes else None
        self._file.append(result_lines(result_rows(frame.number + 1, tracks), classes))

    def close(self) -> None:
        """Close the file."""
        self._file.close()


class VideoSink:
    """Writes a video of the frames with the tracks drawn on them.

    Args:
        path: The file, .mp4; its folder is created.
        frame_rate: Frames per second.
        class_names: See :meth:`TrackDrawer.draw`.
        trail_length: See :class:`TrackDrawer`.
    """

    def __init__(
        self,
        path: str | Path,
        frame_rate: float,
        class_names: Sequence[str] | None = None,
        trail_length: int = 30,
    ) -> None:
        self.class_names, self.frame_rate = class_names, frame_rate
        self._drawer = TrackDrawer(trail_length)
        self._writer = VideoWriter(path, frame_rate)

    def write(self, frame: Frame, tracks: InstanceData) -> np.ndarray:
        """Append a frame; returns its image with the tracks drawn."""
        drawing = _draw(self._drawer, frame, tracks, self.class_names)
        self._writer.write(drawing)
        return drawing

    def close(self) -> None:
        """Finish the video."""
        self._writer.close()


class StreamVideoSink:
    """Writes what :class:`VideoSink` does, of a stream that may be cut off at any time.

    See :class:`FragmentedVideoWriter`. Where the frames change their size, another file
    begins: ``NAME-2.mp4``, or the next number that is free.

    Args:
        path: The file, .mp4, replaced if it exists; its folder is created.
        class_names: See :meth:`TrackDrawer.draw`.
        overlay: What else is drawn, for example :meth:`Counter.draw`: takes the drawing
            and returns another one of the same size.
        trail_length: See :class:`TrackDrawer`.
    """

    def __init__(
        self,
        path: str | Path,
        class_names: Sequence[str] | None = None,
        overlay: Callable[[np.ndarray], np.ndarray] | None = None,
        trail_length: int = 30,
    ) -> None:
        self.path, self.class_names, self.overlay = Path(path), class_names, overlay
        self.trail_length = trail_length
        self._drawer = TrackDrawer(trail_length)
        self._writer = FragmentedVideoWriter(path)
        self._shape: tuple[int, ...] | None = None

    def write(self, frame: Frame, tracks: InstanceData) -> np.ndarray:
        """Append a frame; returns its image with the tracks drawn.

        Raises:
            OSError: See :meth:`FragmentedVideoWriter.write`.
        """
        if self._shape not in (None, frame.image.shape):
            self._writer.close()
            self._writer = FragmentedVideoWriter(free_path(self.path))
            self._drawer = TrackDrawer(self.trail_length)
        self._shape = frame.image.shape
        drawing = _draw(self._drawer, frame, tracks, self.class_names)
        if self.overlay is not None:
            drawing = self.overlay(drawing)
        self._writer.write(drawing, frame.time)
        return drawing

    def close(self) -> None:
        """Finish the video."""
        self._writer.close()


def open_sink(
    path: str | Path,
    stream: str,
    class_names: Sequence[str],
    *,
    with_embeddings: bool = False,
    overlay: Callable[[np.ndarray], np.ndarray] | None = None,
    rotate: int | None = None,
    start: datetime | None = None,
) -> Sink:
    """The sink for a file, by the ending of its name; it begins with the first frame.

    Args:
        path: ``.txt`` (MOTChallenge), ``.csv``, ``.jsonl``, ``.parquet`` or ``.mp4``.
        stream: Name of the stream, for records.
        class_names: Names of the labels.
        with_embeddings: Write embeddings as well; ``.jsonl`` and ``.parquet`` only.
        overlay: Of a video, see :class:`StreamVideoSink`.
        rotate: Seconds after which another file begins, see :class:`RotatingSink`.
        start: See :class:`WallClock`.

    Raises:
        ImportError: The package that writes such files is not installed.
        OSError: The file cannot be written.
        ValueError: No such file can be written, or none with embeddings.
    """
    path = Path(path)
    makers: dict[str, Callable[[Path], Sink]] = {
        ".txt": lambda part: ResultsSink(part, len(class_names) > 1),
        ".csv": lambda part: CsvSink(part, records),
        ".jsonl": lambda part: JsonLinesSink(part, records),
        ".parquet": lambda part: ParquetSink(part, records),
        ".mp4": lambda part: StreamVideoSink(part, class_names, overlay),
    }
    suffix = path.suffix.lower()
    if suffix not in makers:
        raise ValueError(
            f"{path}: no such file can be written; its name must end in "
            f"{', '.join(makers)}"
        )
    if with_embeddings and suffix not in _WITH_EMBEDDINGS:
        raise ValueError(
            f"{path}: embeddings can be written to {' and '.join(_WITH_EMBEDDINGS)} "
            "files only"
        )
    if suffix == ".parquet":
        import_pyarrow()
    check_writable(path)
    records = TrackRecords(stream, class_names, start, with_embeddings)
    return sink_at(makers[suffix], path, rotate, start)


def _draw(
    drawer: TrackDrawer,
    frame: Frame,
    tracks: InstanceData,
    class_names: Sequence[str] | None,
) -> np.ndarray:
    boxes, identities = tracks.bboxes, tracks.instances_id
    return drawer.draw(
        frame.image, boxes, identities, tracks.labels, class_names=class_names
    )
