from collections.abc import Sequence
from typing import Any, ClassVar

from mmdet.datasets import BaseVideoDataset
from mmengine.logging import print_log

from fairmot_mm.formats.images import report_missing_images
from fairmot_mm.formats.mot import find_sequences, split_range
from fairmot_mm.registry import DATASETS


@DATASETS.register_module()
class MOTVideoDataset(BaseVideoDataset):
    """Videos of MOTChallenge sequences, frame by frame, for tracking.

    Only images and ``seqinfo.ini`` are read; ground truth, where there is any, is the
    metric's. Use with :class:`VideoSampler`.

    Args:
        data_root: Folder of sequences, or one sequence.
        sequences: Names of the sequences; all if None.
        detector: Takes only sequences whose name ends with it.
        half: ``first`` or ``second`` half of each sequence.
        input_size: Width and height of the network input, which ``Letterbox`` reads
            from the record.
        metainfo: ``classes``, the names of the model's labels.
        **kwargs: For :class:`mmdet.datasets.BaseVideoDataset`.

    Raises:
        FileNotFoundError: The folder, a sequence or an image is missing.
        ValueError: A ``seqinfo.ini`` is malformed or no sequence is found.
    """

    METAINFO: ClassVar[dict] = dict(classes=("pedestrian",))

    def __init__(
        self,
        data_root: str,
        sequences: Sequence[str] | None = None,
        detector: str | None = None,
        half: str | None = None,
        input_size: tuple[int, int] | None = None,
        metainfo: dict | None = None,
        **kwargs: Any,
    ) -> None:
        self.sequences = sequences
        self.detector = detector
        self.half = half
        self._settings = {} if input_size is None else dict(input_size=input_size)
        super().__init__(
            data_root=data_root, metainfo=metainfo, test_mode=True, **kwargs
        )

    def load_data_list(self) -> list[dict]:
        """One record per video with its ``images``."""
        videos, num_images = [], 0
        found = find_sequences(self.data_root, self.sequences, self.detector)
        for video_id, sequence in enumerate(found):
            first, last = split_range(sequence, self.half)
            frames = range(first, last + 1)
            paths = [str(sequence.image_path(frame)) for frame in frames]
            report_missing_images(paths, sequence.root)
            images = [
                dict(
                    img_path=paths[i],
                    img_id=num_images + i,
                    frame_id=i,
                    frame_number=frame,
                    frame_rate=sequence.frame_rate,
                    frame_range=(first, last),
                    sequence_name=sequence.name,
                    sequence_root=str(sequence.root),
                    **self._settings,
                )
                for i, frame in enumerate(frames)
            ]
            num_images += len(images)
            videos.append(
                dict(video_id=video_id, images=images, video_length=len(images))
            )
        print_log(
            f"{self.data_root}: {len(videos)} sequences, {num_images} images to track",
            logger="current",
        )
        return videos
