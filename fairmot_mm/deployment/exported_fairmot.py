import copy
from pathlib import Path

import torch
from mmengine.config import Config
from mmengine.model import BaseDataPreprocessor
from mmengine.structures import InstanceData
from torch import Tensor

from fairmot_mm.models.dense_heads.center_targets import cells_of_boxes
from fairmot_mm.models.dense_heads.decoding import decode_boxes
from fairmot_mm.models.mot.online_mot import OnlineMOT
from fairmot_mm.registry import MODELS
from fairmot_mm.structures.letterbox import image_to_input, input_to_image

from .backends import open_exported, read_metadata


@MODELS.register_module()
class BytesPreprocessor(BaseDataPreprocessor):
    """Hands bytes to an exported network as they are, which scales them itself."""

    def forward(self, data: dict, training: bool = False) -> dict:
        """Batch of videos (T, 3, H, W), uint8, to (N, T, 3, H, W) on the CPU."""
        videos = data["inputs"]
        if not isinstance(videos, Tensor):
            videos = videos[0][None] if len(videos) == 1 else torch.stack([*videos])
        return dict(inputs=videos, data_samples=data["data_samples"])


@MODELS.register_module()
class ExportedFairMOT(OnlineMOT):
    """A network that was exported to a file, with our decoding and tracker.

    Args:
        path: The file, .onnx or .xml; see :func:`open_exported` for its errors.
        tracker: Online tracker.
        num_classes: Classes that the file has to have; any number if None.
        device: Where the network runs.
        dtype: ``float32`` or ``bfloat16``: precision of what is not in int8.
        data_preprocessor: ``BytesPreprocessor`` if None.

    Raises:
        ValueError: If the file has another number of classes.
    """

    def __init__(
        self,
        path: str | Path,
        tracker: dict | None = None,
        num_classes: int | None = None,
        device: str = "cpu",
        dtype: str = "float32",
        data_preprocessor: dict | None = None,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(
            data_preprocessor or dict(type="fairmot_mm.BytesPreprocessor"), init_cfg
        )
        self.path = path
        self.backend = open_exported(path, device, getattr(torch, dtype))
        self.metadata = self.backend.metadata
        if num_classes not in (None, self.num_classes):
            raise ValueError(
                f"{path} has the classes {', '.join(self.metadata.classes)}, but "
                f"model.bbox_head.num_classes of the config is {num_classes}"
            )
        self.tracker = None if tracker is None else MODELS.build(tracker)

    @property
    def num_classes(self) -> int:
        """Number of classes."""
        return len(self.metadata.classes)

    def loss(self, inputs: Tensor, data_samples: list) -> dict:
        """Refused.

        Raises:
            RuntimeError: An exported network cannot be trained.
        """
        raise RuntimeError(f"{self.path} was exported for tracking and is not trained")

    @torch.no_grad()
    def predict_frames(
        self,
        inputs: Tensor,
        metas: list[dict],
        truth: list[InstanceData] | None = None,
    ) -> list[InstanceData]:
        """See :meth:`OnlineMOT.predict_frames`; ``inputs`` are bytes, BGR.

        The graph takes one frame, so they go through it one by one.

        Raises:
            ValueError: If they are no bytes of the size that was exported.
        """
        given = truth or [None] * len(metas)
        frames = zip(inputs.unflatten(0, (-1, 1)), metas, given, strict=True)
        return [self._predict_frame(*frame) for frame in frames]

    def _predict_frame(
        self, inputs: Tensor, meta: dict, gt_instances: InstanceData | None
    ) -> InstanceData:
        input_hw, map_hw = self.metadata.input_hw, self.metadata.map_hw
        frame = inputs.permute(0, 2, 3, 1)
        if frame.shape != (1, *input_hw, 3) or frame.dtype != torch.uint8:
            raise ValueError(
                f"{self.path} takes {self.metadata.input_size} pixels (uint8), but got "
                f"{inputs.dtype} of shape {tuple(inputs.shape)}: set input_size of the "
                "test data, or export the model for the size they have"
            )
        # The graph wants at least one cell, and the box whose embedding is read there.
        cells, boxes = torch.zeros(1, dtype=torch.long), torch.zeros(1, 4)
        true = torch.empty(0, 4)
        if gt_instances is not None:
            true = gt_instances.bboxes.cpu().float()
        if len(true):
            cells, inside = cells_of_boxes(true, meta, map_hw, input_hw)
            boxes = image_to_input(true, meta, input_hw)
        given = (frame.contiguous(), torch.tensor([self.min_score]), cells, boxes)
        arrays = self.backend.run(*(x.numpy() for x in given))
        out = {name: torch.from_numpy(array) for name, array in arrays.items()}
        count = len(out["positions"]) - len(cells)
        if gt_instances is not None:
            embeddings = out["embeddings"][count:][: len(true)]
            if len(true):
                embeddings = embeddings * inside[:, None]
            gt_instances.embeddings = embeddings
        positions, sizes, offsets = (
            out[name][:count] for name in ("positions", "sizes", "offsets")
        )
        pixels = decode_boxes(positions, sizes, offsets, map_hw, input_hw)
        return InstanceData(
            bboxes=input_to_image(pixels, meta, input_hw),
            scores=out["scores"][:count],
            labels=out["labels"][:count],
            embeddings=out["embeddings"][:count],
        )


def exported_config(
    path: str | Path,
    cfg: Config | None = None,
    device: str | torch.device = "cpu",
    dtype: torch.dtype = torch.float32,
) -> Config:
    """Config of an exported model.

    Args:
        path: The file, .onnx or .xml; see :func:`open_exported` for its errors.
        cfg: Its data and tracker are taken; those that the file carries if None.
        device: Where the network runs.
        dtype: Precision of what is not in int8.

    Returns:
        The config, whose ``model`` is an :class:`ExportedFairMOT`.
    """
    if cfg is None:
        cfg = Config(read_metadata(path).config)
    cfg = copy.deepcopy(cfg)
    cfg.model = dict(
        type="fairmot_mm.ExportedFairMOT",
        path=str(path),
        tracker=cfg.model.get("tracker"),
        num_classes=cfg.model.get("bbox_head", {}).get("num_classes", 1),
        device=str(device),
        dtype=str(dtype).removeprefix("torch."),
    )
    return cfg
