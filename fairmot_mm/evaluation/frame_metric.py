"""What metrics of tracked frames share: gathering the frames of all processes."""

from abc import abstractmethod
from collections.abc import Sequence
from itertools import chain
from typing import Any

from mmdet.structures import DetDataSample
from mmengine.dist import broadcast_object_list, gather_object, is_main_process
from mmengine.evaluator import BaseMetric
from mmengine.structures import InstanceData

from fairmot_mm.structures.arrays import to_numpy

# Folder of the sequence, or its name; first and last evaluated frame, from 1.
Video = tuple[str, tuple[int, int]]
# Videos, numbers and what is kept of their frames.
Frames = Sequence[tuple[Video, int, Any]]


class FrameMetric(BaseMetric):
    """Metric of tracked frames, computed in the main process.

    Every frame is a ``DetDataSample`` with the metas ``sequence_root`` (folder; if
    there is none, ``sequence_name``), ``frame_number`` (from 1) and ``frame_range``
    (first and last evaluated frame, from 1, inclusive).

    Args:
        **kwargs: For ``BaseMetric``. ``collect_device`` has no effect: frames are
            collected through the process group.
    """

    results: list

    @abstractmethod
    def read_frame(self, frame: DetDataSample) -> object:
        """What to keep of a frame, on the CPU; None if nothing."""

    @abstractmethod
    def compute_metrics(self, results: Frames) -> dict[str, float]:
        """Score the frames of all processes, in the main one only.

        Each comes once, in an order that does not depend on which process tracked what.
        """

    def process(self, data_batch: object, data_samples: Sequence[dict]) -> None:
        """Keep what the figures need of ``TrackDataSample``, given as dicts."""
        for frame in chain(*(x["video_data_samples"] for x in data_samples)):
            if (kept := self.read_frame(frame)) is not None:
                folder = frame.get("sequence_root") or frame.sequence_name
                video = str(folder), tuple(frame.frame_range)
                self.results.append((video, int(frame.frame_number), kept))

    def evaluate(self, size: int) -> dict[str, float]:
        """Compute the figures of all processes' frames, the same in every process.

        The size counts videos or frames; it is not used, as processes' shares differ.
        """
        # Through the process group: the toolbox's own way takes equal shares, and files
        # in a folder that all machines would have to share.
        gathered = gather_object(self.results)
        self.results = []
        figures: list = [None]
        if is_main_process():
            # A sampler may repeat frames to fill up a share: the first one counts.
            frames = {row[:2]: row for row in reversed(list(chain(*gathered)))}
            found = self.compute_metrics([frames[key] for key in sorted(frames)])
            figures = [{f"{self.prefix}/{key}": x for key, x in found.items()}]
        broadcast_object_list(figures)
        return figures[0]


def to_arrays(instances: InstanceData, *names: str) -> InstanceData:
    """Some fields of instances as arrays on the CPU."""
    return InstanceData(**{name: to_numpy(instances[name]) for name in names})
