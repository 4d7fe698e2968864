from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np
from mmdet.datasets import BaseVideoDataset
from mmengine.logging import print_log

from fairmot_mm.formats.files import is_file_name
from fairmot_mm.formats.images import image_size
from fairmot_mm.formats.video_file import VideoFile
from fairmot_mm.registry import DATASETS
from fairmot_mm.structures.frame_rate import DEFAULT_FRAME_RATE, usable_frame_rate

from .frame_dataset import FrameDataset
from .frame_records import NO_FRAME


@dataclass(frozen=True, eq=False)
class AnnotatedFrames:
    """Records of a video's n frames, whose m boxes are in a few arrays.

    MMEngine unpickles a video for each of its frames, which would take long with
    arrays of every frame. A frame's record has ``ori_gt_bboxes`` (k, 4) xyxy in pixels
    of the original image, ``gt_bboxes_labels``, ``gt_instances_ids`` with -1 for none
    and ``gt_ignore_flags``: what :class:`PackTrackTestInputs` packs.

    Attributes:
        frames: n records without boxes.
        starts: (n + 1,), first box of each frame, and m.
        boxes: (m, 4) xyxy.
        labels: (m,).
        identities: (m,).
        ignored: (m,) mask.
    """

    frames: list[dict]
    starts: np.ndarray
    boxes: np.ndarray
    labels: np.ndarray
    identities: np.ndarray
    ignored: np.ndarray

    def __len__(self) -> int:
        return len(self.frames)

    def __getitem__(self, index: int) -> dict:
        first, last = self.starts[:-1][index], self.starts[1:][index]
        return dict(
            self.frames[index],
            ori_gt_bboxes=self.boxes[first:last].astype(np.float32),
            gt_bboxes_labels=self.labels[first:last].astype(np.int64),
            gt_instances_ids=self.identities[first:last].astype(np.int64),
            gt_ignore_flags=self.ignored[first:last].copy(),
        )


@DATASETS.register_module()
class AnnotatedVideoDataset(BaseVideoDataset):
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
        input_size: Width and height of the network input, which ``Letterbox`` reads
            from the record.
        **kwargs: For :class:`mmdet.datasets.BaseVideoDataset`.

    Raises:
        ValueError: Two sequences bear the same name. See also :class:`FrameDataset`.
    """

    def __init__(
        self,
        source: dict,
        frame_rate: float | None = None,
        input_size: tuple[int, int] | None = None,
        **kwargs: Any,
    ) -> None:
        self.source: FrameDataset = DATASETS.build(source)
        self.frame_rate = frame_rate
        self._settings = {} if input_size is None else dict(input_size=input_size)
        metainfo = dict(
            classes=self.source.metainfo["classes"],
            has_identities=self.source.ordered and self.source.num_ids > 0,
        )
        super().__init__(metainfo=metainfo, test_mode=True, **kwargs)
        # Not above: MMEngine would read a path as a list of classes.
        self._metainfo["name"] = self.source.name

    def load_data_list(self) -> list[dict]:
        """One record per video with its ``images``, see :class:`AnnotatedFrames`."""
        records = self.source.records
        if self.source.ordered:
            # Sequences whose images are all missing have none.
            starts = np.flatnonzero(np.diff(records.sequence_index, prepend=-1))
            indices = records.sequence_index[starts].tolist()
            names = [records.sequence_names[i] for i in indices]
        else:
            starts = np.arange(len(records))
            names = [f"{i:06d}" for i in starts.tolist()]
        for name, count in Counter(names).items():
            if count > 1 or not is_file_name(name):
                raise ValueError(
                    f"{self.source.name}: sequence {name!r}: expected names that "
                    "differ and are plain file names, as the results are written to "
                    "NAME.txt"
                )
        ends = np.append(starts[1:], len(records))
        videos = [
            dict(
                video_id=video_id,
                video_length=last - first,
                images=self._frames(name, first, last),
            )
            for video_id, (name, first, last) in enumerate(
                zip(names, starts.tolist(), ends.tolist(), strict=True)
            )
        ]
        print_log(
            f"{self.source.name}: {len(videos)} sequences, {len(records)} annotated "
            "images to track",
            logger="current",
        )
        return videos

    def _frames(self, name: str, first: int, last: int) -> AnnotatedFrames:
        """Images ``first`` to ``last``, exclusive, of the source."""
        records = self.source.records.select(np.arange(first, last))
        frame_rate = self._frame_rate(records.paths[0], int(records.frames[0]))
        frames = [
            dict(
                img_path=path,
                img_id=first + i,
                frame_id=i,
                frame_number=i + 1,
                frame_rate=frame_rate,
                frame_range=(1, last - first),
                sequence_name=name,
                **({} if frame == NO_FRAME else dict(frame_index=frame)),
                **self._settings,
            )
            for i, (path, frame) in enumerate(
                zip(records.paths, records.frames.tolist(), strict=True)
            )
        ]
        boxes = records.boxes
        if records.normalized:
            sizes = np.array([image_size(path) for path in records.paths])
            boxes = boxes * np.tile(sizes, 2)[records.images]
        return AnnotatedFrames(
            frames,
            starts=records.starts,
            boxes=boxes,
            labels=records.labels,
            identities=records.identities,
            ignored=records.ignored,
        )

    def _frame_rate(self, path: str, frame: int) -> float:
        if self.frame_rate is not None:
            return self.frame_rate
        if frame == NO_FRAME:
            return DEFAULT_FRAME_RATE
        return usable_frame_rate(VideoFile(path).frame_rate, path)
