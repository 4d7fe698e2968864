"""A hook that writes videos of the tracks of a test."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from mmdet.structures import DetDataSample, TrackDataSample
from mmengine.hooks import Hook
from mmengine.runner import Runner

from fairmot_mm.formats.images import read_image, write_image
from fairmot_mm.formats.video_file import read_frame
from fairmot_mm.registry import HOOKS
from fairmot_mm.streams import VideoSink
from fairmot_mm.structures.frame_rate import DEFAULT_FRAME_RATE, usable_frame_rate


@HOOKS.register_module()
class TrackVideoHook(Hook):
    """Writes a video, and optionally the frames, of every tested sequence.

    Expects each sequence's frames in order, one video or one frame per iteration, as
    ``TrackImgSampler`` and the video samplers deliver them. Processes that test
    different sequences may share ``out_dir``.

    Args:
        out_dir: Folder for ``SEQUENCE.mp4`` and the folders ``SEQUENCE`` of frames;
            created if missing.
        save_frames: Also write every drawn frame as a JPEG file named like its image.
        trail_length: Number of frames a track's trail reaches back.
    """

    def __init__(
        self, out_dir: str, save_frames: bool = True, trail_length: int = 30
    ) -> None:
        self.out_dir = Path(out_dir)
        self.save_frames = save_frames
        self.trail_length = trail_length
        self._sequence: str | None = None
        self._video: VideoSink | None = None
        self._finished: list[str] = []

    def after_test_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: dict | None = None,
        outputs: Sequence[TrackDataSample] | None = None,
    ) -> None:
        """Draw the frames of the iteration's outputs.

        Args:
            runner: The runner of the test.
            batch_idx: Index of the iteration.
            data_batch: Its input; not used.
            outputs: Videos of frames that hold ``pred_track_instances``, or such
                frames, as in MMTracking.

        Raises:
            OSError: An image cannot be read, or a drawing cannot be written.
        """
        dataset_meta = runner.visualizer.dataset_meta or {}
        class_names = dataset_meta.get("classes") or dataset_meta.get("CLASSES")
        for data_sample in outputs or ():
            for sample in data_sample.get("video_data_samples", [data_sample]):
                self._add_frame(sample, class_names)

    def after_test_epoch(
        self, runner: Runner, metrics: dict[str, float] | None = None
    ) -> None:
        """Finish the last video and log where the videos are."""
        self._finish_sequence()
        if self._finished:
            names = ", ".join(f"{name}.mp4" for name in self._finished)
            runner.logger.info(f"Track videos in {self.out_dir.resolve()}: {names}")
        self._finished = []

    def _add_frame(
        self, sample: DetDataSample, class_names: Sequence[str] | None
    ) -> None:
        path = Path(sample.img_path)
        # MOTChallenge's layout: SEQUENCE/img1/000001.jpg.
        sequence = sample.get("sequence_name") or path.parents[1].name
        if self._video is None or sequence != self._sequence or sample.frame_id == 0:
            self._finish_sequence()
            self._sequence = sequence
            self._video = VideoSink(
                self.out_dir / f"{sequence}.mp4",
                usable_frame_rate(
                    sample.get("frame_rate", DEFAULT_FRAME_RATE), sequence
                ),
                class_names,
                self.trail_length,
            )
        if (index := sample.get("frame_index")) is None:
            image, name = read_image(path), path.stem
        else:
            image, name = read_frame(sample.img_path, index), f"{index + 1:06d}"
        drawing = self._video.write(sample.frame_id, image, sample.pred_track_instances)
        if self.save_frames:
            write_image(self.out_dir / sequence / f"{name}.jpg", drawing)

    def _finish_sequence(self) -> None:
        if self._video is not None and self._sequence is not None:
            self._video.close()
            self._finished.append(self._sequence)
        self._sequence = self._video = None
