from collections import Counter
from typing import Any

import numpy as np

from fairmot_mm.formats.files import is_file_name
from fairmot_mm.formats.video_file import VideoFile
from fairmot_mm.registry import DATASETS
from fairmot_mm.structures.frame_rate import DEFAULT_FRAME_RATE, usable_frame_rate

from .frame_dataset import FrameDataset
from .video_dataset import FrameVideoDataset


@DATASETS.register_module()
class AnnotatedVideoDataset(FrameVideoDataset):
    """Videos of any annotated source, frame by frame with ground truth, for tracking.

    The source reads and checks images and annotations as it does for training; its
    classes are those of the model. Use with :class:`VideoSampler` and
    :class:`PackTrackTestInputs`. Frames count from 1 in the order of the sequence,
    whatever the files are called. Images in no order, such as CrowdHuman's, are videos
    of one frame: detections can be scored on them, tracks cannot.

    Args:
        source: A :class:`FrameDataset`, such as
            ``dict(type="VisDroneFrameDataset", data_root=...)``.
        frame_rate: Frames per second, which annotations do not tell. If None, that of a
            video file, and 30 for images.
        **kwargs: ``input_size``, see :class:`FrameVideoDataset`.

    Raises:
        ValueError: Two sequences bear the same name. See also :class:`FrameDataset`.
    """

    def __init__(
        self, source: dict, frame_rate: float | None = None, **kwargs: Any
    ) -> None:
        self.source: FrameDataset = DATASETS.build(source)
        self.frame_rate = frame_rate
        metainfo = dict(
            classes=self.source.metainfo["classes"],
            has_identities=self.source.ordered and self.source.num_ids > 0,
        )
        super().__init__(metainfo=metainfo, **kwargs)
        # Not above: MMEngine would read a path as a list of classes.
        self._metainfo["name"] = self.source.name

    def load_data_list(self) -> list[dict]:
        """One record per video."""
        records = self.source.records
        if self.source.ordered:
            # Sequences whose images are all missing have none.
            sequences = records.sequence_index
            starts = np.flatnonzero(np.diff(sequences, prepend=-1)).tolist()
            names = [records.sequence_names[sequences[i]] for i in starts]
        else:
            starts = list(range(len(records)))
            names = [f"{i:06d}" for i in starts]
        for name, count in Counter(names).items():
            if count > 1 or not is_file_name(name):
                raise ValueError(
                    f"{self.source.name}: sequence {name!r}: expected names that "
                    "differ and are plain file names, as the results are written to "
                    "NAME.txt"
                )
        ends = [*starts[1:], len(records)]
        metas = (
            dict(
                sequence_name=name,
                frame_rate=self._frame_rate(**records.file(start)),
                frame_range=(1, end - start),
            )
            for name, start, end in zip(names, starts, ends, strict=True)
        )
        return self.list_videos(self.source.name, records, metas)

    def _frame_rate(self, img_path: str, frame_index: int | None = None) -> float:
        if self.frame_rate is not None:
            return self.frame_rate
        if frame_index is None:
            return DEFAULT_FRAME_RATE
        return usable_frame_rate(VideoFile(img_path).frame_rate, img_path)
