"""Hooks that show a training: its curves, and frames of its validations."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from mmdet.structures import TrackDataSample
from mmengine.dist import master_only
from mmengine.hooks import Hook
from mmengine.runner import Runner

from fairmot_mm.registry import HOOKS
from fairmot_mm.visualization.training_curves import draw_training, read_training
from fairmot_mm.visualization.training_view import contact_sheet
from fairmot_mm.visualization.validation_view import draw_validation_frame


@HOOKS.register_module()
class TrainingCurvesHook(Hook):
    """Draws ``curves.png`` into the work folder at the end of a training.

    Losses, learning rate and validation figures of all its runs, resumed ones too, from
    the logs that ``LocalVisBackend`` writes.
    """

    priority = "LOWEST"  # after what logs

    @master_only
    def after_train(self, runner: Runner) -> None:
        """Read the logs and draw."""
        path = Path(runner.work_dir) / "curves.png"
        try:
            draw_training(read_training(path.parent), path)
        except (OSError, ValueError) as error:  # the training itself is over and saved
            runner.logger.warning(f"no {path.name}: {error}")
        else:
            runner.logger.info(f"curves of the training: {path}")


@HOOKS.register_module()
class ValidationSheetHook(Hook):
    """Shows frames of each validation: tracks and heatmap on the network's input.

    The sheet, ``validation``, goes to the backends of the visualizer: a PNG in
    ``vis_data/vis_image``, an image in TensorBoard. Of several processes the main one
    shows frames of its share.

    Args:
        frames: Frames of a sheet, spread over the validation data.
    """

    def __init__(self, frames: int = 9) -> None:
        self.frames = frames
        self._drawn: list[np.ndarray] = []

    def before_val_epoch(self, runner: Runner) -> None:
        """Choose the frames."""
        count = len(runner.val_dataloader)
        self._chosen = {*np.linspace(0, max(count - 1, 0), self.frames, dtype=int)}
        self._drawn = []

    @master_only
    def after_val_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: dict | None = None,
        outputs: Sequence[TrackDataSample] | None = None,
    ) -> None:
        """Draw the frame, if it is one of those."""
        model = runner.model
        if batch_idx not in self._chosen or not hasattr(model, "bbox_head"):
            return
        with torch.inference_mode():
            inputs = model.data_preprocessor(data_batch, False)["inputs"][0][:1]
            feats = model.extract_feat(inputs)
            heatmap = model.bbox_head.heatmap(feats)[0].float().sigmoid()
        for sample in outputs or ():
            frame = sample[0]
            self._drawn.append(draw_validation_frame(inputs[0].float(), frame, heatmap))

    @master_only
    def after_val_epoch(
        self, runner: Runner, metrics: dict[str, float] | None = None
    ) -> None:
        """Hand the sheet to the visualizer."""
        if self._drawn:
            sheet = contact_sheet(self._drawn)
            runner.visualizer.add_image("validation", sheet[..., ::-1], runner.iter)
        self._drawn = []
