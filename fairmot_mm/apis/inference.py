import copy
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmdet.structures import DetDataSample, TrackDataSample
from mmengine.config import Config
from mmengine.dataset import Compose, default_collate
from mmengine.logging import MMLogger
from mmengine.model import BaseModel
from mmengine.registry import init_default_scope

from fairmot_mm.checkpoints import load_for_tracking
from fairmot_mm.checkpoints.packaged import PACKAGED_CONFIG, PACKAGED_WEIGHTS
from fairmot_mm.datasets.transforms.formatting import PackTrackTestInputs
from fairmot_mm.datasets.transforms.letterbox import Letterbox
from fairmot_mm.deployment import exported_config, is_exported
from fairmot_mm.engine.mixed_precision import half_precision
from fairmot_mm.formats.images import read_image
from fairmot_mm.registry import MODELS
from fairmot_mm.structures.letterbox import fit, letterbox
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
        config: Config or its file. If None, what an exported checkpoint carries, or
            that of the package's own weights, which were learnt from streets
            (docs/model-card.md).
        checkpoint: File of its weights; random ones if None and a config is given. Or
            an exported model, .onnx or .xml, which runs by itself (docs/deployment.md).
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
    device = device or default_device()
    if checkpoint is not None and is_exported(checkpoint):
        cfg = exported_config(checkpoint, _read_config(config), device, dtype)
        checkpoint = None  # the model opens it
    else:
        if config is None:
            config, checkpoint = PACKAGED_CONFIG, checkpoint or PACKAGED_WEIGHTS
        cfg = _read_config(config)
    if cfg_options is not None:
        cfg.merge_from_dict(cfg_options)
    init_default_scope(cfg.get("default_scope", "fairmot_mm"))
    model = MODELS.build(cfg.model)
    if checkpoint is not None:
        load_for_tracking(model, checkpoint, trust_checkpoint)
    model.cfg = cfg
    model = model.to(device).eval()
    if hasattr(model, "optimize_for_inference"):
        half = dtype == torch.bfloat16
        model.optimize_for_inference(half_precision(device) if half else dtype)
    return model


def _read_config(config: str | Path | Config | None) -> Config | None:
    if config is None or isinstance(config, Config):
        return copy.deepcopy(config)  # the caller's is not changed
    return Config.fromfile(config)


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
    pipeline = frame_pipeline(model)
    size = model.cfg.test_dataloader.dataset.get("input_size")
    if (box := _only_letterbox(pipeline)) is not None and (size := box.size or size):
        image, *_ = letterbox(frame, size, box.pad_value)
        return pack_frame(image, frame.shape[:2], frame_id, frame_rate)
    data = pipeline(
        dict(
            img=[frame],
            img_id=[frame_id],
            frame_id=[frame_id],
            frame_rate=[frame_rate],
            ori_shape=[frame.shape[:2]],
            input_size=[size],
        )
    )
    return default_collate([data])


def pack_frame(
    image: np.ndarray, ori_shape: tuple[int, int], frame_id: int, frame_rate: float
) -> dict:
    """What the test pipeline and collating make of one frame, without copies.

    Args:
        image: (H, W, 3) BGR uint8, letterboxed.
        ori_shape: Height and width of the frame.
        frame_id: Number of the frame in its video, from 0.
        frame_rate: Frames per second.
    """
    factor, border = fit(ori_shape, image.shape[:2])
    metas = dict(
        img_id=frame_id,
        frame_id=frame_id,
        frame_rate=frame_rate,
        ori_shape=ori_shape,
        img_shape=image.shape[:2],
        scale_factor=(factor, factor),
        pad_param=border,
    )
    sample = TrackDataSample(video_data_samples=[DetDataSample(metainfo=metas)])
    inputs = torch.from_numpy(image).permute(2, 0, 1)[None, None]
    return dict(inputs=inputs, data_samples=[sample])


def letterbox_size(model: BaseModel) -> tuple[int, int]:
    """Width and height that the test pipeline letterboxes to.

    Raises:
        ValueError: If it does something else to an image.
    """
    box = _only_letterbox(frame_pipeline(model))
    size = box and (box.size or model.cfg.test_dataloader.dataset.get("input_size"))
    if not size:
        raise ValueError(
            "fast_resize takes the place of a test pipeline of Letterbox and "
            "PackTrackTestInputs alone: this config has another, or no input_size"
        )
    return size[0], size[1]


def _only_letterbox(pipeline: Compose) -> Letterbox | None:
    """The letterbox of a pipeline that does nothing else but pack."""
    first, *rest = pipeline.transforms
    inner = getattr(getattr(first, "transforms", None), "transforms", [])
    if [type(x) for x in rest] != [PackTrackTestInputs]:
        return None
    return inner[0] if [type(x) for x in inner] == [Letterbox] else None


def frame_pipeline(model: BaseModel) -> Compose:
    """The model's test pipeline without what loads an image, built once."""
    if not hasattr(model, "frame_pipeline"):
        init_default_scope(model.cfg.get("default_scope", "fairmot_mm"))
        model.frame_pipeline = _frame_pipeline(model.cfg)
    return model.frame_pipeline


def _frame_pipeline(cfg: Config) -> Compose:
    """The test pipeline without what loads an image."""
    broadcaster, *rest = copy.deepcopy(cfg.test_dataloader.dataset.pipeline)
    steps = broadcaster.transforms
    broadcaster.transforms = [x for x in steps if "LoadImageFromFile" not in x.type]
    return Compose([broadcaster, *rest])


def with_own_tracker(model: BaseModel) -> Any:  # noqa: ANN401  (a BaseModel)
    """The same network with a tracker of its own, for a stream.

    It detects what the tracker looks at, and nothing else.
    """
    stream = copy.copy(model)
    tracker = copy.deepcopy(getattr(model, "tracker", None))
    # Rounded down: the tracker compares in double precision.
    score = getattr(tracker, "lowest_score", 0.0) - 1e-6
    vars(stream).update(tracker=tracker, min_score=max(score, 0.0))
    return stream


def warn_of_dropped(model: BaseModel, source: object) -> None:
    """Log how many detections of a video its tracker had to drop, if any."""
    if dropped := getattr(model.tracker, "num_dropped", 0):
        MMLogger.get_current_instance().warning(
            f"{source}: {dropped} detections could not be tracked and were dropped"
        )


def track_frame(model: BaseModel, data: dict) -> TrackDataSample:
    """The other part of :func:`inference_mot`: detect, embed and track."""
    with torch.inference_mode():
        (result,) = model.test_step(data)
    result.pred_track_instances = result[0].pred_track_instances
    return result
