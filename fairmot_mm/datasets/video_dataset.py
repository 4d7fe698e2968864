from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from mmdet.datasets import BaseVideoDataset
from mmengine.logging import print_log

from .frame_records import FrameRecords


@dataclass(frozen=True, eq=False)
class VideoFrames:
    """Records of a video's frames, each made when it is asked for.

    A frame's record has its file, ``img_id``, ``frame_id`` (from 0), ``frame_number``
    (in the sequence, from 1) and the metas; with ground truth, also its boxes as in
    :meth:`FrameRecords.objects`, with ``ori_gt_bboxes`` for ``gt_bboxes``: they stay in
    pixels of the original image, see :class:`PackTrackTestInputs`.
    """

    records: FrameRecords  # images of all videos
    rows: range  # those of this video
    metas: dict  # what is the same for all frames
    annotated: bool  # whether there is ground truth

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> dict:
        row = self.rows[index]
        info = self.records.file(row) | self.metas
        info["img_id"], info["frame_id"] = row, row - self.rows[0]
        info["frame_number"] = info["frame_range"][0] + info["frame_id"]
        if self.annotated:
            info |= self.records.objects(row)
            info["ori_gt_bboxes"] = info.pop("gt_bboxes")
        return info


class FrameVideoDataset(BaseVideoDataset):
    """Videos of :class:`FrameRecords`, frame by frame, for tracking.

    Args:
        input_size: Width and height of the network input, which ``Letterbox`` reads
            from the record.
        **kwargs: For :class:`mmdet.datasets.BaseVideoDataset`.
    """

    def __init__(
        self, input_size: tuple[int, int] | None = None, **kwargs: Any
    ) -> None:
        self._settings = {} if input_size is None else dict(input_size=input_size)
        # Serialized, the records of all videos would be stored once for each of them.
        super().__init__(test_mode=True, serialize_data=False, **kwargs)

    def list_videos(
        self,
        source: str,
        records: FrameRecords,
        metas: Iterable[dict],
        annotated: bool = True,
    ) -> list[dict]:
        """One record per video with its ``images``, see :class:`VideoFrames`.

        The records hold the images of all videos, one video after the other; the metas
        of a video have ``frame_range``, its first and last frame from 1.
        """
        videos: list[dict] = []
        start = 0
        for of_video in metas:
            first, last = of_video["frame_range"]
            rows = range(start, start + last - first + 1)
            frames = VideoFrames(records, rows, of_video | self._settings, annotated)
            videos.append(
                dict(video_id=len(videos), video_length=len(rows), images=frames)
            )
            start = rows.stop
        text = f"{source}: {len(videos)} sequences, {start} images to track"
        print_log(text, logger="current")
        return videos
