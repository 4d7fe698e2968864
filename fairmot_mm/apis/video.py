from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import numpy as np
from mmdet.structures import TrackDataSample
from torch import nn

from fairmot_mm.formats.mot_results import (
    CLASS_RESULT_LINE,
    RESULT_LINE,
    result_rows,
)
from fairmot_mm.streams import VideoWriter, open_source, read_ahead
from fairmot_mm.visualization import TrackDrawer

from .inference import prepare_frame, track_frame

# Frames that may wait between reading, tracking and writing.
WAITING = 4


def track_video(
    model: nn.Module,
    source: str | Path | int,
    results_file: str | Path | None = None,
    drawing_file: str | Path | None = None,
    on_frame: Callable[[int, TrackDataSample], None] | None = None,
) -> int:
    """Track a video, a stream, a camera or a folder of images.

    Reading and letterboxing, the network with the tracker, and drawing with writing
    run beside each other.

    Args:
        model (nn.Module): From :func:`init_model`.
        source (str | Path | int): Video file or stream, number of a camera, or folder
            of images, whose order is that of their names: ``frame2.jpg`` comes before
            ``frame10.jpg``.
        results_file (str | Path | None): Where the tracks go, a line per box in
            MOTChallenge's format, written frame by frame. Where the model has more
            than one class, the eighth column is the class, from 1.
        drawing_file (str | Path | None): Where the video with the tracks goes.
        on_frame (Callable[[int, TrackDataSample], None] | None): Called after each
            frame with its number, from 0, and its tracks.

    Returns:
        int: Number of frames tracked.

    Raises:
        OSError: If the source cannot be read, or a file not be written.
        ValueError: If there is not a single frame in it, or only some of the images
            of a folder are named by numbers.
    """
    frame_rate, frames = open_source(source)
    drawer, count = TrackDrawer(), 0
    num_classes = getattr(getattr(model, "bbox_head", None), "num_classes", 1)
    class_names = [f"class {number + 1}" for number in range(num_classes)]

    def prepare() -> Iterator[tuple[np.ndarray, dict]]:
        for number, frame in enumerate(frames):
            yield frame, prepare_frame(model, frame, number, frame_rate)

    with ExitStack() as stack:
        results = writer = None
        if results_file is not None:
            Path(results_file).parent.mkdir(parents=True, exist_ok=True)
            results = stack.enter_context(Path(results_file).open("w"))
        if drawing_file is not None:
            writer = stack.enter_context(VideoWriter(drawing_file, frame_rate))
        output = stack.enter_context(ThreadPoolExecutor(1))
        pending: deque = deque()

        def write(number: int, frame: np.ndarray, tracks: TrackDataSample) -> None:
            found = tracks.pred_track_instances.cpu()
            if results is not None:
                rows, line = result_rows(number + 1, found), RESULT_LINE
                if num_classes > 1:
                    rows = np.column_stack((rows, found.labels.numpy() + 1))
                    line = CLASS_RESULT_LINE
                np.savetxt(results, rows[np.argsort(rows[:, 1])], fmt=line)
                results.flush()
            if writer is not None:
                drawing = drawer.draw(
                    frame,
                    found.bboxes,
                    found.instances_id,
                    labels=found.labels,
                    class_names=class_names,
                )
                writer.write(drawing)

        for frame, data in read_ahead(prepare(), WAITING):
            tracks = track_frame(model, data)
            pending.append(output.submit(write, count, frame, tracks))
            while len(pending) > WAITING:
                pending.popleft().result()
            if on_frame is not None:
                on_frame(count, tracks)
            count += 1
        for task in pending:
            task.result()
    if count == 0:
        raise ValueError(f"not a single frame in {source}")
    return count
