"""A process that holds the network, probes videos and tracks pieces of them."""

import logging
import platform
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import fsspec

from fairmot_mm.utils.command_line import one_line
from fairmot_mm.version import __version__

from .ledger import PieceReport
from .pieces import Piece
from .probing import Probe, probe
from .rows import RowsBuilder, TrackRows
from .videos import Video, is_local

if TYPE_CHECKING:
    from mmengine.structures import InstanceData

    from fairmot_mm.streams import Frame


# Seconds after a piece's last frame, before which the next one comes.
_NEXT = 1e-4


@dataclass(frozen=True)
class Work:
    """What all workers need to know.

    Attributes:
        config: The config as a dictionary.
        checkpoint: Name of the checkpoint among ``files``; None for random weights.
        files: Files of the checkpoint by name, so that other machines need none.
        device: Where the network runs; the machine's best if None.
        half: Whether it computes in half precision.
        trust_checkpoint: See :func:`init_model`.
        longest: Seconds of a piece.
        overlap: Seconds that pieces overlap.
        every: Only every so many-th frame is tracked.
        with_embeddings: Whether results hold embeddings.
        version: Of this package.
    """

    config: dict
    checkpoint: str | None
    files: Mapping[str, bytes]
    device: str | None = None
    half: bool = False
    trust_checkpoint: bool = False
    longest: float = 600.0
    overlap: float = 5.0
    every: int = 1
    with_embeddings: bool = False
    version: str = __version__


@dataclass(frozen=True)
class Task:
    """A piece to track.

    Attributes:
        piece: The piece.
        video: Its video.
        in_pieces: Whether there are more of the video, which seams will join.
    """

    piece: Piece
    video: Video
    in_pieces: bool


class Worker:
    """A worker; Ray runs one in each of its processes.

    What goes wrong with a video is returned as a text, so that nothing but the death of
    the process raises.
    """

    def __init__(self) -> None:
        self._model: Any = None
        self._frames = 0
        self._folder = tempfile.TemporaryDirectory(prefix="fairmot-archive-")
        self._fetched: dict[str, Path] = {}

    def load(self, work: Work) -> tuple[list[str], str | None]:
        """Build the model.

        Returns:
            Names of its classes, and what is wrong, if anything.
        """
        self._work = work
        try:
            return self._load(work), None
        except Exception as error:
            # The checkpoint as it was called, not this machine's copy.
            return [], one_line(error).replace(f"{self._folder.name}/checkpoint/", "")

    def _load(self, work: Work) -> list[str]:
        if work.version != __version__:
            raise ValueError(
                f"{platform.node()} has fairmot_mm {__version__}, this is "
                f"{work.version}: install the same everywhere"
            )
        import torch
        from mmengine.config import Config
        from mmengine.logging import MMLogger
        from mmengine.utils import import_modules_from_strings

        from fairmot_mm.apis import init_model
        from fairmot_mm.datasets.class_names import class_names
        from fairmot_mm.engine.runner import keep_freed_memory

        # Its warnings are of single videos, and go to the ledger as numbers.
        MMLogger.get_current_instance().setLevel(logging.ERROR)
        if work.device in (None, "cpu"):
            keep_freed_memory()
        config = Config(work.config)
        if imports := config.get("custom_imports"):
            import_modules_from_strings(**imports)
        folder = Path(self._folder.name, "checkpoint")
        folder.mkdir(exist_ok=True)
        for name, content in work.files.items():
            (folder / name).write_bytes(content)
        self._model = init_model(
            config,
            folder / work.checkpoint if work.checkpoint else None,
            work.device,
            dtype=torch.bfloat16 if work.half else torch.float32,
            trust_checkpoint=work.trust_checkpoint,
        )
        tracker = self._model.tracker
        if hasattr(tracker, "output_embeddings"):
            tracker.output_embeddings = True  # seams need them
        elif work.with_embeddings:
            raise ValueError(
                f"embeddings: {type(tracker).__name__} gives none with its tracks, "
                "JDETracker does"
            )
        return class_names(self._model.cfg, getattr(self._model, "num_classes", 1))

    def frames(self) -> int:
        """Frames tracked of the present task."""
        return self._frames

    def probe(self, videos: Sequence[Video]) -> list[Probe | str]:
        """Probe videos; a text says why one cannot be read."""
        work, found = self._work, list[Probe | str]()
        for video in videos:
            try:
                found.append(probe(video, work.longest, work.overlap, work.every))
            except Exception as error:  # whatever a file system may raise
                found.append(one_line(error))
        return found

    def track(self, tasks: Sequence[Task]) -> list[tuple[TrackRows, PieceReport] | str]:
        """Track pieces, their frames together; a text says why one failed."""
        found: dict[int, tuple[TrackRows, PieceReport] | str] = {}
        sources: dict[int, Path | str] = {}
        self._frames = 0
        self._drop_fetched({task.video.address for task in tasks})
        for i, task in enumerate(tasks):
            try:
                sources[i] = self._fetch(task.video)
            except Exception as error:
                found[i] = f"cannot be fetched: {one_line(error)}"
        try:
            found |= self._track({i: tasks[i] for i in sources}, sources)
        except Exception as error:
            found |= dict.fromkeys(set(range(len(tasks))) - set(found), one_line(error))
        return [found[i] for i in range(len(tasks))]

    def _track(
        self, tasks: Mapping[int, Task], sources: Mapping[int, Path | str]
    ) -> dict[int, tuple[TrackRows, PieceReport] | str]:
        from fairmot_mm.apis import track_streams
        from fairmot_mm.streams import StreamSettings

        if not tasks:
            return {}
        work, names = self._work, {str(i): i for i in tasks}
        builders, ends, settings = {}, {}, {}
        for i, task in tasks.items():
            embedded = work.with_embeddings or task.in_pieces
            builders[i] = RowsBuilder(embedded)
            settings[str(i)] = StreamSettings(
                every=work.every, section=task.piece.section, threads=1
            )

        def on_frame(name: str, frame: "Frame", tracks: "InstanceData") -> None:
            piece = tasks[names[name]].piece
            time_ = piece.begin + frame.time
            builders[names[name]].add(piece.first + frame.number + 1, time_, tracks)
            ends[names[name]] = time_ + _NEXT
            self._frames += 1

        start = time.monotonic()
        summaries = track_streams(
            self._model,
            {name: sources[i] for name, i in names.items()},
            settings=settings,
            on_frame=on_frame,
            max_batch=len(tasks),
        )
        seconds = time.monotonic() - start
        total = max(1, sum(x.num_frames for x in summaries.values()))
        found: dict[int, tuple[TrackRows, PieceReport] | str] = {}
        for name, i in names.items():
            summary = summaries[name]
            if summary.error is not None:
                found[i] = one_line(summary.error)
            elif not summary.num_frames:
                found[i] = "not a single frame can be decoded"
            else:
                report = PieceReport(
                    summary.num_frames,
                    ends[i],
                    summary.num_damaged,
                    summary.num_ignored,
                    seconds * summary.num_frames / total,
                    platform.node(),
                )
                found[i] = builders[i].rows(), report
        return found

    def _fetch(self, video: Video) -> Path | str:
        """A file of this machine with the video's bytes."""
        if is_local(video.address):
            return video.address
        if video.address not in self._fetched:
            suffix = PurePosixPath(video.address).suffix
            path = Path(self._folder.name, f"{len(self._fetched)}{suffix}")
            while path in self._fetched.values():
                path = path.with_stem(f"{path.stem}_")
            with (
                _partial(path) as partial,
                fsspec.open(video.address, "rb") as file,
                partial.open("wb") as target,
            ):
                shutil.copyfileobj(file, target, 1 << 20)
            self._fetched[video.address] = path
        return self._fetched[video.address]

    def _drop_fetched(self, wanted: set[str]) -> None:
        for address in set(self._fetched) - wanted:
            self._fetched.pop(address).unlink(missing_ok=True)


@contextmanager
def _partial(path: Path) -> Iterator[Path]:
    """A name to write under; gone, or the right one's, in the end."""
    partial = path.with_name(f".{path.name}.partial")
    try:
        yield partial
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
