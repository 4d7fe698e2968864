"""A hook that writes videos of the tracks of a test."""

import time
from collections.abc import Sequence
from pathlib import Path

from mmdet.structures import DetDataSample, TrackDataSample
from mmengine.hooks import Hook
from mmengine.runner import Runner

from fairmot_mm.formats.images import write_image
from fairmot_mm.formats.video_file import read_frame
from fairmot_mm.registry import HOOKS
from fairmot_mm.streams import Frame, VideoSink
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
        self._video: VideoSink | None = None
        self._sequence = ""  # of the video
        self._started: list[str] = []

    def after_test_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: dict | None = None,
        outputs: Sequence[TrackDataSample] | None = None,
    ) -> None:
        """Draw the ``pred_track_instances`` of the frames in ``outputs``.

        These are videos or, as in MMTracking, frames. An ``OSError`` names an image
        that cannot be read, or a drawing that cannot be written.
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
        self._finish_video()
        if self._started:
            names = ", ".join(f"{name}.mp4" for name in self._started)
            runner.logger.info(f"Track videos in {self.out_dir.resolve()}: {names}")
        self._started = []

    def _add_frame(self, frame: DetDataSample, names: Sequence[str] | None) -> None:
        path = Path(frame.img_path)
        # MOTChallenge's layout: SEQUENCE/img1/000001.jpg.
        sequence = frame.get("sequence_name") or path.parents[1].name
        if self._video is None or sequence != self._sequence or frame.frame_id == 0:
            self._finish_video()
            self._sequence = sequence
            self._started.append(sequence)
            rate = frame.get("frame_rate", DEFAULT_FRAME_RATE)
            self._video = VideoSink(
                self.out_dir / f"{sequence}.mp4",
                usable_frame_rate(rate, sequence),
                names,
                self.trail_length,
            )
        index = frame.get("frame_index")
        name = path.stem if index is None else f"{index + 1:06d}"
        image = read_frame(frame.img_path, index)
        seconds = frame.frame_id / self._video.frame_rate
        taken = Frame(image, frame.frame_id, seconds, time.monotonic())
        drawing = self._video.write(taken, frame.pred_track_instances)
        if self.save_frames:
            write_image(self.out_dir / sequence / f"{name}.jpg", drawing)

    def _finish_video(self) -> None:
        if self._video is not None:
            self._video.close()
        self._video = None
