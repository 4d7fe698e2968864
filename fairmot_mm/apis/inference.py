import copy
from pathlib import Path

import numpy as np
import torch
from mmdet.structures import TrackDataSample
from mmengine.config import Config
from mmengine.dataset import Compose, default_collate
from mmengine.model import BaseModel
from mmengine.registry import init_default_scope

from fairmot_mm.checkpoints import load_for_tracking
from fairmot_mm.checkpoints.packaged import PACKAGED_CONFIG, PACKAGED_WEIGHTS
from fairmot_mm.engine.mixed_precision import half_precision
from fairmot_mm.formats.images import read_image
from fairmot_mm.registry import MODELS
from fairmot_mm.utils.devices import default_device


def init_model(
    config: str | Path | Config | None = None,
    checkpoint: str | Path | None = None,
    device: str | torch.device | None = None,
    cfg_options: dict | None = None,
    dtype: torch.dtype = torch.float32,
    trust_checkpoint: bool = False,
) -> BaseModel:
    """Build a model for tracking, made fast by ``FairMOT.optimize_for_inference``.

    Args:
        config: Config or its file. If None, that of the package's own weights, which
            were learnt from streets (docs/model-card.md).
        checkpoint: File of its weights; random ones if None and a config is given.
        device: Where it runs; :func:`default_device` if None.
        cfg_options: Settings that override the config's.
        dtype: Precision of the network's maps; ``torch.bfloat16`` is faster and gives
            nearly the same tracks. On GPUs without it, float16 is used instead.
        trust_checkpoint: Whether the file may run code that is hidden in it; needed for
            files that hold more than tensors, plain values and MMEngine's log.

    Returns:
        The model in evaluation mode, with the config as ``cfg``.

    Raises:
        FileNotFoundError: The config or the checkpoint is missing.
        ValueError: The checkpoint does not fit, is damaged or may run code.
    """
    if config is None:
        config, checkpoint = PACKAGED_CONFIG, checkpoint or PACKAGED_WEIGHTS
    if isinstance(config, Config):
        cfg = copy.deepcopy(config)  # the caller's is not changed
    else:
        cfg = Config.fromfile(config)
    if cfg_options is not None:
        cfg.merge_from_dict(cfg_options)
    init_default_scope(cfg.get("default_scope", "fairmot_mm"))
    model = MODELS.build(cfg.model)
    if checkpoint is not None:
        load_for_tracking(model, checkpoint, trust_checkpoint)
    model.cfg = cfg
    device = device or default_device()
    model = model.to(device).eval()
    if hasattr(model, "optimize_for_inference"):
        half = dtype == torch.bfloat16
        model.optimize_for_inference(half_precision(device) if half else dtype)
    return model


def inference_mot(
    model: BaseModel,
    frame: np.ndarray | str | Path,
    frame_id: int,
    frame_rate: float = 30.0,
) -> TrackDataSample:
    """Track the next frame of a stream.

    Args:
        model: From :func:`init_model`.
        frame: Image (H, W, 3), BGR uint8, or its file.
        frame_id: Number of the frame: 0 starts a new video, otherwise one more than
            the last call's. A model tracks one video at a time; several at once take a
            model each, or :func:`track_video`.
        frame_rate: Frames per second, which sets how long lost tracks are kept. Read
            when a video starts.

    Returns:
        The frame's sample is its only one; ``pred_track_instances`` (``bboxes`` (N, 4)
        xyxy in pixels of the frame, ``scores``, ``labels``, ``instances_id``) is also
        set on the result itself.

    Raises:
        OSError: The image file cannot be read.
        ValueError: The frame is not a BGR uint8 image, or does not follow the last one.
    """
    expected = getattr(model, "next_frame_id", 0)
    if frame_id not in (0, expected):
        raise ValueError(
            f"frame_id {frame_id} does not continue the video, whose next frame is "
            f"{expected} (0 starts a new one). A model tracks one video at a time: "
            "build one for each stream, or use track_video"
        )
    if isinstance(frame, str | Path):
        frame = read_image(frame)
    result = track_frame(model, prepare_frame(model, frame, frame_id, frame_rate))
    model.next_frame_id = frame_id + 1
    return result


def prepare_frame(
    model: BaseModel, frame: np.ndarray, frame_id: int, frame_rate: float
) -> dict:
    """The part of :func:`inference_mot` before the network: a batch of one frame."""
    if frame.dtype != np.uint8 or frame.ndim != 3 or frame.shape[2] != 3:
        raise ValueError(
            f"frame of {frame.dtype} and shape {frame.shape}: expected uint8 (H, W, 3)"
        )
    if not hasattr(model, "frame_pipeline"):
        init_default_scope(model.cfg.get("default_scope", "fairmot_mm"))
        model.frame_pipeline = _frame_pipeline(model.cfg)
    data = model.frame_pipeline(
        dict(
            img=[frame],
            img_id=[frame_id],
            frame_id=[frame_id],
            frame_rate=[frame_rate],
            ori_shape=[frame.shape[:2]],
            input_size=[model.cfg.test_dataloader.dataset.get("input_size")],
        )
    )
    return default_collate([data])


def _frame_pipeline(cfg: Config) -> Compose:
    """The test pipeline without what loads an image."""
    broadcaster, *rest = copy.deepcopy(cfg.test_dataloader.dataset.pipeline)
    steps = broadcaster.transforms
    broadcaster.transforms = [x for x in steps if "LoadImageFromFile" not in x.type]
    return Compose([broadcaster, *rest])


def track_frame(model: BaseModel, data: dict) -> TrackDataSample:
    """The other part of :func:`inference_mot`: detect, embed and track."""
    with torch.inference_mode():
        (result,) = model.test_step(data)
    result.pred_track_instances = result[0].pred_track_instances
    return result
