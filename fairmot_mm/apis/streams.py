"""Many streams, one network."""

import itertools
import re
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import torch
from mmdet.structures import TrackDataSample
from mmengine.logging import MMLogger
from mmengine.model import BaseModel
from mmengine.structures import InstanceData

from fairmot_mm.datasets.class_names import class_names
from fairmot_mm.streams import (
    Counter,
    CountsSink,
    Frame,
    PageServer,
    Sink,
    StreamReader,
    StreamSettings,
    StreamView,
    open_sink,
    sink_at,
    write_behind,
)
from fairmot_mm.structures.frame_rate import DEFAULT_FRAME_RATE
from fairmot_mm.visualization import TrackDrawer

from .inference import prepare_frame, warn_of_dropped, with_own_tracker
from .video import WAITING

# Seconds between two looks at streams of which none has a frame, and two reports.
_PAUSE, _REPORT = 0.002, 0.5

OnFrame = Callable[[str, Frame, InstanceData], None]
Files = str | Path | Mapping[str, Sequence[str | Path]]


@dataclass
class StreamSummary:
    """How a stream went.

    Attributes:
        num_frames: Frames tracked.
        num_dropped: Frames that live mode passed over.
        num_losses: How often the connection was lost.
        num_damaged: Packets that could not be decoded.
        num_ignored: Detections that could not be tracked.
        error: What ended the stream, if it did not end as a file does.
        counts: Of its lines and zones, see :meth:`Counter.counts`.
    """

    num_frames: int = 0
    num_dropped: int = 0
    num_losses: int = 0
    num_damaged: int = 0
    num_ignored: int = 0
    error: Exception | None = None
    counts: list[dict] = field(default_factory=list)


def track_streams(
    model: BaseModel,
    sources: Mapping[str, str | Path | int],
    out: Files | None = None,
    *,
    formats: Sequence[str] = ("txt",),
    rotate: int | None = None,
    with_embeddings: bool = False,
    settings: StreamSettings | Mapping[str, StreamSettings] | None = None,
    counters: Mapping[str, Counter] | None = None,
    page: PageServer | None = None,
    on_frame: OnFrame | None = None,
    stop: threading.Event | None = None,
    max_batch: int = 8,
) -> dict[str, StreamSummary]:
    """Track several streams at once.

    Frames that are ready go through the network together. Each stream has a thread that
    reads, a tracker of its own, and a thread that writes; one that ends, is lost or
    whose files cannot be written takes no other with it. If they are more than the
    machine can do, they take turns, one frame each.

    The tracker follows the streams' timestamps: where frames were dropped, tracks move
    on by the time that went by. Identities of a stream are never used twice, also not
    after its resolution changed, which starts its tracker anew.

    Args:
        model: From :func:`init_model`.
        sources: Video file, stream, number of a camera or folder of images, by name.
        out: Folder of the result files, which are named by the streams; or the files of
            each stream, by its name. Counts over time go to ``NAME.counts.csv`` beside
            them.
        formats: What is written to the folder: ``txt`` (MOTChallenge's), ``csv``,
            ``jsonl``, ``parquet``, ``mp4``.
        rotate: Seconds after which new files begin; None writes one of each.
        with_embeddings: Whether JSON lines and Parquet hold the tracks' embeddings,
            for which ``model.tracker.output_embeddings`` must be set.
        settings: How the streams are read, all alike or by name.
        counters: Lines and zones, by the name of the stream.
        page: Shows the streams; started by the caller.
        on_frame: Called with the stream's name, the frame and its tracks.
        stop: Set it to end.
        max_batch: Greatest number of frames that the network takes at once.

    Returns:
        By name, how each stream went.

    Raises:
        ImportError: A package that a format needs is not installed.
        ValueError: Two streams would write the same files, a format is unknown, or a
            counter is of no stream.
    """
    if unknown := set(counters or {}) - set(sources):
        raise ValueError(
            f"lines or zones of {', '.join(sorted(unknown))}: the streams are "
            f"{', '.join(sources)}"
        )
    files = _files(sources, out, formats)
    names = class_names(getattr(model, "cfg", {}), getattr(model, "num_classes", 1))
    with ExitStack() as stack:
        streams = []
        for name, source in sources.items():
            own = settings.get(name) if isinstance(settings, Mapping) else settings
            stream = _Stream(
                name=name,
                source=source,
                settings=own or StreamSettings(),
                model=with_own_tracker(model),
                classes=names,
                files=files[name],
                rotate=rotate,
                with_embeddings=with_embeddings,
                counter=(counters or {}).get(name),
                view=None if page is None else page.views[name],
                on_frame=on_frame,
            )
            stack.callback(stream.close)
            streams.append(stream)
        network = with_own_tracker(model)  # embeds what trackers look at alone
        _run(network, streams, stop or threading.Event(), max_batch)
    return {stream.name: stream.summary for stream in streams}


def _files(
    names: Iterable[str], out: Files | None, formats: Sequence[str]
) -> dict[str, list[Path]]:
    """The files of each stream."""
    if isinstance(out, Mapping):
        files = {name: [Path(path) for path in out.get(name, ())] for name in names}
    else:
        safe = {name: re.sub(r"[^\w.-]+", "_", name) for name in names}
        folder = None if out is None else Path(out)
        files = {
            name: [folder / f"{file}.{suffix}" for suffix in formats] if folder else []
            for name, file in safe.items()
        }
    every = [path for paths in files.values() for path in paths]
    if twice := {str(path) for path in every if every.count(path) > 1}:
        raise ValueError(
            f"{', '.join(sorted(twice))} would be written twice: give the streams "
            "names that differ by more than blanks and slashes"
        )
    return files


def _run(
    model: BaseModel, streams: "list[_Stream]", stop: threading.Event, max_batch: int
) -> None:
    """Take frames in turn, until all streams have ended."""
    running = list(streams)
    while running and not stop.is_set():
        ready: list[tuple[_Stream, _Prepared]] = []
        for stream in list(running):
            if len(ready) == max_batch:
                break
            frame = stream.take()
            if stream.ended:
                running.remove(stream)
            elif frame is not None:
                ready.append((stream, frame))
        if not ready:
            stop.wait(_PAUSE)
            continue
        # Those that had no turn come first next time.
        served = [stream for stream, _ in ready]
        running = [s for s in running if s not in served] + [
            s for s in served if s in running
        ]
        for batch in _of_equal_size(ready):
            found = _detect(model, [frame for _, frame in batch])
            for (stream, frame), detections in zip(batch, found, strict=True):
                stream.track(frame, *detections)


def _of_equal_size(
    ready: "list[tuple[_Stream, _Prepared]]",
) -> "Iterator[list[tuple[_Stream, _Prepared]]]":
    """What the network can take at once: all, if its pipeline letterboxes."""

    def size(item: tuple[_Stream, _Prepared]) -> tuple[int, ...]:
        return tuple(item[1].inputs.shape)

    for _, batch in itertools.groupby(sorted(ready, key=size), key=size):
        yield list(batch)


def _detect(
    model: Any,  # noqa: ANN401  (an OnlineMOT)
    frames: "list[_Prepared]",
) -> Iterator[tuple[torch.Tensor, InstanceData]]:
    """Input and detections of a frame of each stream."""
    samples = [frame.sample for frame in frames]
    inputs = torch.cat([frame.inputs for frame in frames], dim=1)
    video = TrackDataSample(video_data_samples=samples)
    with torch.inference_mode():
        data = dict(inputs=inputs, data_samples=[video])
        inputs = model.data_preprocessor(data, False)["inputs"][0]
        found = model.predict_frame(inputs, [sample.metainfo for sample in samples])
    found = [found] if len(samples) == 1 else found
    yield from zip(inputs.split(1), found, strict=True)


class _Prepared(NamedTuple):
    """A frame, and what the network and the tracker take of it."""

    frame: Frame
    inputs: torch.Tensor
    sample: Any  # a DetDataSample


@dataclass
class _Stream:
    """One stream: its reader, its tracker and where its tracks go."""

    name: str
    source: str | Path | int
    settings: StreamSettings
    model: Any
    classes: Sequence[str]
    files: list[Path]
    rotate: int | None
    with_embeddings: bool
    counter: Counter | None
    view: StreamView | None
    on_frame: OnFrame | None

    def __post_init__(self) -> None:
        self.summary = StreamSummary()
        self.ended = False
        self._last: Frame | None = None
        self._shape: tuple[int, ...] = ()
        self._frame_id = self._largest_id = self._id_offset = 0
        self._files = ExitStack()
        self._sinks = [self._files.enter_context(closing(s)) for s in self._make()]
        self._write_later = self._files.enter_context(
            write_behind(self._write, WAITING)
        )
        self._drawer = TrackDrawer()
        self._reported = 0.0
        self.reader = StreamReader(self.source, self._prepare, self.settings)

    def take(self) -> _Prepared | None:
        """The next frame, if there is one."""
        try:
            taken = self.reader.take(0)
        except Exception as error:  # in the frame's preparation
            self._end(error)
            return None
        self._report()
        if taken is None:
            if self.reader.ended:
                self._end(self.reader.error)
            return None
        self._place(taken.frame, taken.sample)
        return taken

    def _prepare(self, frame: Frame) -> _Prepared:
        """In the reader's thread, if the stream is not live."""
        batch = prepare_frame(self.model, frame.image, 0, DEFAULT_FRAME_RATE)
        return _Prepared(frame, batch["inputs"], batch["data_samples"][0][0])

    def _place(self, frame: Frame, sample: Any) -> None:  # noqa: ANN401
        """Tell a sample its number, and the time that went by since the last one."""
        rate = self.reader.frame_rate * self.settings.every  # that of the source
        if frame.image.shape != self._shape:  # pixels are other pixels now
            self._shape, self._frame_id = frame.image.shape, 0
            self._id_offset = self._largest_id
        number = self._frame_id
        metas = dict(img_id=number, frame_id=number, frame_rate=rate)
        if number and self._last is not None:
            metas["elapsed"] = _in_frames((frame.time - self._last.time) * rate)
        sample.set_metainfo(metas)
        self._last, self._frame_id = frame, number + 1

    def track(
        self, taken: _Prepared, inputs: torch.Tensor, found: InstanceData
    ) -> None:
        """Follow what was found on a frame, and write it in the thread for that."""
        if self.ended:
            return
        frame, sample = taken.frame, taken.sample
        try:
            with torch.inference_mode():
                self.model.track_detections(inputs, sample, found)
            tracks = sample.pred_track_instances.cpu()
            tracks.instances_id = tracks.instances_id + self._id_offset
            if len(tracks):
                largest = int(tracks.instances_id.max())
                self._largest_id = max(self._largest_id, largest)
            self._write_later(frame, tracks)
        except Exception as error:
            self._end(error)
            return
        self.summary.num_frames += 1
        if self.on_frame is not None:
            self.on_frame(self.name, frame, tracks)

    def close(self) -> None:
        """Finish the files."""
        if not self.ended:
            self._end(None)

    def _make(self) -> Iterator[Sink]:
        overlay = None if self.counter is None else self.counter.draw
        for path in self.files:
            embedded = path.suffix.lower() in (".jsonl", ".parquet")
            yield open_sink(
                path,
                self.name,
                self.classes,
                with_embeddings=self.with_embeddings and embedded,
                overlay=overlay,
                rotate=self.rotate,
            )
        if (counter := self.counter) is not None and self.files:
            path = self.files[0].with_name(f"{self.files[0].stem}.counts.csv")
            yield sink_at(lambda part: CountsSink(part, counter), path, self.rotate)

    def _write(self, frame: Frame, tracks: InstanceData) -> None:
        """In the stream's own thread."""
        if self.counter is not None:
            self.counter.update(frame, tracks)
        written = [sink.write(frame, tracks) for sink in self._sinks]
        if self.view is None:
            return
        image = next((x for x in written if x is not None), None)
        if not self.view.wanted:
            image = None
        elif image is None:
            image = self._drawer.draw(
                frame.image,
                tracks.bboxes,
                tracks.instances_id,
                tracks.labels,
                class_names=self.classes,
            )
            if self.counter is not None:
                image = self.counter.draw(image)
        age = time.monotonic() - frame.arrived
        counts = [] if self.counter is None else self.counter.counts()
        self.view.show(image, len(tracks), counts, age)

    def _report(self) -> None:
        """Tell the page how the reader is, now and then."""
        summary, reader, now = self.summary, self.reader, time.monotonic()
        summary.num_dropped = reader.num_dropped
        summary.num_losses = reader.stream.num_losses
        summary.num_damaged = reader.stream.num_damaged
        if self.view is not None and now - self._reported > _REPORT:
            self._reported = now
            losses = summary.num_losses
            self.view.report(reader.state, losses, reader.num_dropped, None)

    def _end(self, error: Exception | None) -> None:
        """End the stream: what it wrote is finished, the others go on."""
        self.ended = True
        try:
            self._files.close()
        except Exception as caught:
            error = error or caught
        self._report()
        self.reader.close()
        summary = self.summary
        summary.error = error
        summary.num_ignored = getattr(self.model.tracker, "num_dropped", 0)
        if self.counter is not None:
            summary.counts = self.counter.counts()
        if self.view is not None:
            state = "ended" if error is None else "lost"
            text = None if error is None else str(error)
            self.view.report(state, summary.num_losses, summary.num_dropped, text)
        warn_of_dropped(self.model, self.name)
        if error is not None:
            MMLogger.get_current_instance().error(
                f"{self.name}: ended by {type(error).__name__}: {error}"
            )


def _in_frames(elapsed: float) -> float:
    """Whole frames where timestamps were rounded: the published filter takes steps."""
    whole = round(elapsed)
    return whole if whole and abs(elapsed - whole) < 0.1 else max(elapsed, 1e-3)
