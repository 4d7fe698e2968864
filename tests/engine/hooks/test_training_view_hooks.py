"""What a training leaves to look at: curves, sheets, TensorBoard."""

import cv2
from mmengine.runner import Runner


def test_a_training_can_be_looked_at(validated, tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    validated.default_hooks.curves = dict(type="TrainingCurvesHook")
    validated.default_hooks.sheet = dict(type="ValidationSheetHook", frames=4)
    validated.visualizer = dict(
        type="Visualizer",
        vis_backends=[dict(type="LocalVisBackend"), dict(type="TensorboardVisBackend")],
    )
    runner = Runner.from_cfg(validated)
    runner.train()

    curves = cv2.imread(str(tmp_path / "curves.png"))
    assert curves.shape[1] == 1200
    assert (curves != 255).any(-1).mean() > 0.01
    sheets = sorted(tmp_path.glob("*/vis_data/vis_image/validation_*.png"))
    assert len(sheets) == 2
    # Two frames beside and below each other, of 96 x 64 each.
    height, width = cv2.imread(str(sheets[0])).shape[:2]
    assert (width, height) == (1920, 1280)

    (events,) = tmp_path.glob("*/vis_data/events.out.tfevents*")
    accumulator = EventAccumulator(str(events))
    accumulator.Reload()
    tags = accumulator.Tags()
    assert {"loss", "lr", "mot/HOTA"} <= set(tags["scalars"])
    assert tags["images"] == ["validation"]
