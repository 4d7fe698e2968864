import threading
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import cast

import numpy as np
from mmdet.structures import TrackDataSample
from mmengine.model import BaseModel
from mmengine.structures import InstanceData

from fairmot_mm.datasets.class_names import class_names
from fairmot_mm.streams import (
    Frame,
    ResultsSink,
    VideoSink,
    open_scaled,
    open_source,
    read_ahead,
    write_behind,
)

from .inference import (
    letterbox_size,
    pack_frame,
    prepare_frame,
    track_frame,
    warn_of_dropped,
    with_own_tracker,
)

# Frames that may wait between reading, tracking and writing.
WAITING = 4


def track_video(
    model: BaseModel,
    source: str | Path | int,
    results_file: str | Path | None = None,
    drawing_file: str | Path | None = None,
    on_frame: Callable[[int, TrackDataSample], None] | None = None,
    frame_rate: float | None = None,
    stop: threading.Event | None = None,
    fast_resize: bool = False,
) -> int:
    """Track a video, a stream, a camera or a folder of images.

    Reading and letterboxing, the network with the tracker, and drawing with writing
    run in a thread each. The stream has a tracker of its own, so that several threads
    may track streams with one model.

    Args:
        model: From :func:`init_model`.
        source: Video file or stream, number of a camera, or folder of images in the
            natural order of their names: ``frame2.jpg`` comes before ``frame10.jpg``.
        results_file: Where the tracks go, a line per box in MOTChallenge's format,
            written frame by frame. If the model has several classes, the eighth column
            is the class, from 1.
        drawing_file: Where the video with the tracks goes, .mp4.
        on_frame: Called after each frame with its number, from 0, and its tracks.
        frame_rate: Frames per second, which set how long lost tracks are kept; what
            the source reports if None, or 30 with a warning if no camera has that rate.
        stop: Set it to end after the current frame, also of a stalled source.
        fast_resize: Let FFmpeg letterbox while it converts colours
            (:func:`~fairmot_mm.streams.open_scaled`): faster, and not quite the
            published pixels.

    Returns:
        Number of frames tracked.

    Raises:
        OSError: The source cannot be read, or a file cannot be written.
        ValueError: The source has no frames, only some of the images of a folder are
            named by numbers, or no camera has this ``frame_rate``.
    """
    stream = with_own_tracker(model)
    count = 0

    frame_rate, prepared = _open_frames(
        stream, source, frame_rate, fast_resize, drawing_file is not None
    )

    def write(number: int, image: np.ndarray | None, tracks: InstanceData) -> None:
        tracks = tracks.cpu()
        # Where it is drawn, there is an image.
        image = cast("np.ndarray", image)
        frame = Frame(image, number, number / frame_rate, time.monotonic())
        for sink in sinks:
            sink.write(frame, tracks)

    with ExitStack() as stack:
        # First, so that its thread closes the source whatever happens.
        batches = stack.enter_context(read_ahead(prepared, WAITING, stop))
        opened = _open_sinks(model, frame_rate, results_file, drawing_file)
        sinks = [stack.enter_context(closing(sink)) for sink in opened]
        write_later = stack.enter_context(write_behind(write, WAITING))
        for frame, data in batches:
            tracks = track_frame(stream, data)
            write_later(count, frame, tracks.pred_track_instances)
            if on_frame is not None:
                on_frame(count, tracks)
            count += 1
    if count == 0 and not (stop and stop.is_set()):
        raise ValueError(f"not a single frame in {source}")
    if count > 0:
        warn_of_dropped(stream, source)
    return count


def _open_sinks(
    model: BaseModel,
    frame_rate: float,
    results_file: str | Path | None,
    drawing_file: str | Path | None,
) -> Iterator[ResultsSink | VideoSink]:
    num_classes = getattr(model, "num_classes", 1)
    if results_file is not None:
        yield ResultsSink(results_file, with_classes=num_classes > 1)
    if drawing_file is not None:
        names = class_names(getattr(model, "cfg", {}), num_classes)
        yield VideoSink(drawing_file, frame_rate, names)


def _open_frames(
    model: BaseModel,
    source: str | Path | int,
    frame_rate: float | None,
    fast_resize: bool,
    keep_frames: bool,
) -> tuple[float, Generator[tuple[np.ndarray | None, dict], None, None]]:
    """Frame rate of a source, and its frames with what the network takes of each."""

    def published(
        frames: Generator, rate: float
    ) -> Generator[tuple[np.ndarray, dict], None, None]:
        with closing(frames):
            for number, frame in enumerate(frames):
                yield frame, prepare_frame(model, frame, number, rate)

    def scaled(
        frames: Generator, rate: float
    ) -> Generator[tuple[np.ndarray | None, dict], None, None]:
        with closing(frames):
            for number, (inputs, ori_shape, frame) in enumerate(frames):
                yield frame, pack_frame(inputs, ori_shape, number, rate)

    if fast_resize:
        size = letterbox_size(model)
        frame_rate, small = open_scaled(source, size, frame_rate, keep_frames)
        return frame_rate, scaled(small, frame_rate)
    frame_rate, frames = open_source(source, frame_rate)
    return frame_rate, published(frames, frame_rate)
