"""Where the tracks of a stream go: a result file, a video with drawings."""

import contextlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from mmengine.structures import InstanceData

from fairmot_mm.formats.mot_results import result_lines, result_rows
from fairmot_mm.visualization import TrackDrawer

from .video_writer import VideoWriter


class ResultsSink:
    """Writes a MOTChallenge result file frame by frame.

    Args:
        path: The file; its folder is created.
        with_classes: Write the class, from 1, in the eighth column.
    """

    def __init__(self, path: str | Path, with_classes: bool = False) -> None:
        self.path, self.with_classes = Path(path), with_classes
        self.path.parent.mkdir(parents=True, exist_ok=True)
        # Unbuffered: whatever ends the process, the file ends with a whole frame.
        self._file = self.path.open("wb", buffering=0)
        self._size = 0

    def write(self, number: int, frame: np.ndarray, tracks: InstanceData) -> None:
        """Append the tracks of frame ``number``, from 0.

        Raises:
            OSError: The file cannot be written, for example because the disk is full;
                it keeps the frames before.
        """
        classes = tracks.labels.numpy() + 1 if self.with_classes else None
        data = result_lines(result_rows(number + 1, tracks), classes).encode()
        try:
            rest = data
            while rest:
                rest = rest[self._file.write(rest) :]
        except OSError as error:
            with contextlib.suppress(OSError):
                self._file.truncate(self._size)
            raise OSError(error.errno, error.strerror, str(self.path)) from error
        self._size += len(data)

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
        self.class_names = class_names
        self._drawer = TrackDrawer(trail_length)
        self._writer = VideoWriter(path, frame_rate)

    def write(self, number: int, frame: np.ndarray, tracks: InstanceData) -> np.ndarray:
        """Append a frame (H, W, 3), BGR uint8; returns it with its drawing."""
        boxes, identities = tracks.bboxes, tracks.instances_id
        drawing = self._drawer.draw(
            frame, boxes, identities, tracks.labels, class_names=self.class_names
        )
        self._writer.write(drawing)
        return drawing

    def close(self) -> None:
        """Finish the video."""
        self._writer.close()
