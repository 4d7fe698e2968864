from collections.abc import Sequence
from typing import Any

import torch
from mmcv.cnn import fuse_conv_bn
from mmdet.structures import DetDataSample
from mmengine.logging import MMLogger
from mmengine.structures import InstanceData
from torch import Tensor

from fairmot_mm.checkpoints.loading import TRAINING_ONLY
from fairmot_mm.registry import MODELS, TASK_UTILS
from fairmot_mm.structures.letterbox import image_to_input

from ..dense_heads.center_targets import cells_of_boxes
from ..dense_heads.fairmot_head import FairMOTHead
from ..feature_maps import check_channels
from ..reid.colour_embedding_head import ColourEmbeddingHead
from ..reid.embedding_head import EmbeddingHead
from .online_mot import OnlineMOT

# What FairMOT calls of its parts, and ours that have it.
_NEEDED = dict(
    bbox_head=(
        "heatmap boxes_at get_targets loss_by_targets predict_at_peaks",
        "fairmot_mm.FairMOTHead",
    ),
    reid_head=("embeddings_at loss", "fairmot_mm.EmbeddingHead"),
    tracker=("track", "fairmot_mm.JDETracker"),
)


def _build(key: str, cfg: dict) -> Any:  # noqa: ANN401  (as MODELS.build)
    """Build a part of the model; its errors name its key."""
    name = cfg.get("type")
    with MODELS.switch_scope_and_registry(None) as registry:
        kind = registry.get(name) if isinstance(name, str) else name
    methods, remedy = _NEEDED.get(key, ("", ""))
    missing = [method for method in methods.split() if not hasattr(kind, method)]
    if kind is not None and missing:
        raise TypeError(
            f"model.{key}={kind.__name__} lacks {', '.join(missing)}: use {remedy} or "
            "give it these methods"
        )
    try:
        return MODELS.build(cfg)
    except (AssertionError, KeyError, TypeError, ValueError, RuntimeError) as error:
        message = f"model.{key} ({name}): {error.args[0] if error.args else error}"
        raise type(error)(message) from error


@MODELS.register_module()
class FairMOT(OnlineMOT):
    """One network that detects and embeds, and one tracker (arXiv:2004.01888).

    Args:
        backbone: Image (N, 3, H, W) to a sequence of maps.
        neck: The maps to one map (N, C, h, w), as a sequence of length one.
        bbox_head: Detection head, e.g. ``FairMOTHead``.
        reid_head: Embedding head, e.g. ``EmbeddingHead``.
        tracker: Online tracker, ours or one of the toolboxes'; without one the model
            trains and detects.
        motion: Motion model, for trackers that expect the model to have one, as
            MMTracking's do.
        task_weighting: How the losses of the two heads are joined;
            ``UncertaintyWeighting`` if None.
        data_preprocessor: Usually ``mmdet.TrackDataPreprocessor``.

    Raises:
        TypeError: If a part lacks what the model needs of it; this and whatever a part
            itself raises names the part's key.
        ValueError: If the tracker wants a ReID network.
    """

    def __init__(
        self,
        backbone: dict,
        neck: dict,
        bbox_head: dict,
        reid_head: dict,
        tracker: dict | None = None,
        motion: dict | None = None,
        task_weighting: dict | None = None,
        data_preprocessor: dict | None = None,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(data_preprocessor, init_cfg)
        self.backbone = _build("backbone", backbone)
        self.neck = _build("neck", neck)
        # Of the config: mmdet.CTResNetNeck changes its attribute.
        self._neck_channels = neck.get(
            "in_channels", getattr(self.neck, "in_channels", ())
        )
        self.bbox_head: FairMOTHead = _build("bbox_head", bbox_head)
        self.reid_head: EmbeddingHead = _build("reid_head", reid_head)
        weighting = task_weighting or dict(type="fairmot_mm.UncertaintyWeighting")
        self.task_weighting = _build("task_weighting", weighting)
        self.tracker = None
        if tracker is not None:
            self.tracker = _build("tracker", tracker)
        if getattr(self.tracker, "with_reid", False):
            raise ValueError(
                f"{type(self.tracker).__name__} wants a ReID network for crops, which "
                "FairMOT does not have: set model.tracker.reid=None"
            )
        if motion is not None:
            self.motion = TASK_UTILS.build(motion)
        self.register_load_state_dict_pre_hook(_fill_in_training_parts)
        # Type and memory format of the inputs, once optimised for inference.
        self._layout: dict | None = None

    @property
    def num_classes(self) -> int:
        """Number of classes."""
        return self.bbox_head.num_classes

    def optimize_for_inference(self, dtype: torch.dtype = torch.float32) -> "FairMOT":
        """Make the network faster for inference, in place; call after loading weights.

        Normalisation is folded into the convolutions before it, and maps are
        channels-last.

        Args:
            dtype: Precision of backbone, neck and heatmap; with ``torch.bfloat16`` a
                CPU takes about half the time. Boxes and embeddings are computed in
                single precision, at the peaks of the heatmap.
        """
        self.eval().requires_grad_(False)
        self._layout = dict(dtype=dtype, memory_format=torch.channels_last)
        for module in (self.backbone, self.neck, self.bbox_head.heatmap_branch):
            fuse_conv_bn(module).to(**self._layout)
        return self

    def train(self, mode: bool = True) -> "FairMOT":
        """Switch the mode; an error after :meth:`optimize_for_inference`."""
        if mode and self._layout is not None:
            raise RuntimeError(
                "a network that was optimised for inference has no normalisation left "
                "to train: build the model again"
            )
        return super().train(mode)

    def extract_feat(self, inputs: Tensor) -> Sequence[Tensor]:
        """Map images (N, 3, H, W), RGB in [0, 1], to one map (N, C, H/4, W/4)."""
        if inputs.dim() != 4:
            raise ValueError(
                f"inputs of shape {tuple(inputs.shape)}: expected (N, 3, H, W)"
            )
        if self._layout is not None:
            inputs = inputs.to(**self._layout)
        maps = self.backbone(inputs)
        check_channels(maps, self._neck_channels)
        return self.neck(maps)

    def _forward(
        self, inputs: Tensor, data_samples: list[DetDataSample] | None = None
    ) -> dict[str, Tensor]:
        """Compute the raw maps of images (N, 3, H, W), RGB in [0, 1].

        Returns:
            ``heatmap`` (N, C, H/4, W/4) logits, ``size`` (N, 4 or 2, H/4, W/4) and
            ``offset`` (N, 2, H/4, W/4) in cells, ``embedding`` (N, D, H/4, W/4), not
            normalised.
        """
        feats = self.extract_feat(inputs)
        heatmap, size, offset = self.bbox_head(feats)
        embedding = self.reid_head(feats)
        return dict(heatmap=heatmap, size=size, offset=offset, embedding=embedding)

    def loss(
        self, inputs: Tensor, data_samples: list[DetDataSample]
    ) -> dict[str, Tensor]:
        """Compute the joint loss (FairMOT, section 3.3).

        Args:
            inputs: (N, 3, H, W), RGB in [0, 1].
            data_samples: Per image ``gt_instances`` with ``bboxes`` (n, 4) xyxy in
                pixels of the input, ``labels`` (n,) and ``instances_ids`` (n,), -1 for
                no identity.

        Returns:
            ``loss``, which is trained, and for the log the parts it is joined from:
            ``heatmap``, ``size`` (weighted 0.1 by default), ``offset`` and ``id``.
        """
        feats = self.extract_feat(inputs)
        heatmap = self.bbox_head.heatmap(feats)
        instances = [sample.gt_instances for sample in data_samples]
        for sample in data_samples:
            if "instances_ids" not in sample.gt_instances:
                raise KeyError(
                    "gt_instances.instances_ids is missing for "
                    f"{sample.get('img_path', 'an image')}: pack the data with "
                    "fairmot_mm.PackTrackTrainInputs (-1 stands for no identity)"
                )
        targets = self.bbox_head.get_targets(
            instances, heatmap.shape[-2:], inputs.shape[-2:]
        )
        objects = (targets.image, targets.cell)
        identities = torch.cat([item.instances_ids for item in instances])
        labels = torch.cat([item.labels for item in instances])
        parts = self.bbox_head.loss_by_targets(
            heatmap, *self.bbox_head.boxes_at(feats, *objects), targets
        )
        detection = sum(parts.values())
        boxes = torch.cat([item.bboxes for item in instances])[targets.kept]
        parts |= self.reid_head.loss(
            self.embed(feats, *objects, inputs, boxes),
            identities[targets.kept].long(),
            labels[targets.kept],
        )
        log = {key.removeprefix("loss_"): part.detach() for key, part in parts.items()}
        return dict(loss=self.task_weighting(detection, parts["loss_id"]), **log)

    def embed(
        self,
        feats: Sequence[Tensor],
        image: Tensor,
        cell: Tensor,
        inputs: Tensor,
        boxes: Tensor,
    ) -> Tensor:
        """Embeddings (M, D) of boxes (M, 4) xyxy in pixels of the inputs."""
        if isinstance(self.reid_head, ColourEmbeddingHead):
            return self.reid_head.embeddings_in_boxes(feats, image, cell, inputs, boxes)
        return self.reid_head.embeddings_at(feats, image, cell)

    @torch.no_grad()
    def predict_frames(
        self,
        inputs: Tensor,
        metas: list[dict],
        truth: list[InstanceData] | None = None,
    ) -> list[InstanceData]:
        """See :meth:`OnlineMOT.predict_frames`; ``inputs`` are RGB in [0, 1]."""
        feats = self.extract_feat(inputs)
        input_hw, map_hw = inputs.shape[-2:], feats[0].shape[-2:]
        results = self.bbox_head.predict_at_peaks(feats, metas, input_hw=input_hw)
        results = [found[found.scores > self.min_score] for found in results]
        for i, (found, meta) in enumerate(zip(results, metas, strict=True)):
            cells = found.pop("cells")
            boxes = image_to_input(found.bboxes, meta, input_hw)
            image = torch.full_like(cells, i)
            found.embeddings = self.embed(feats, image, cells, inputs, boxes)
        for i, instances in enumerate(truth or ()):
            boxes = instances.bboxes.to(inputs.device)
            cells, inside = cells_of_boxes(boxes, metas[i], map_hw, input_hw)
            boxes = image_to_input(boxes, metas[i], input_hw)
            image = torch.full_like(cells, i)
            embeddings = self.embed(feats, image, cells, inputs, boxes)
            instances.embeddings = embeddings * inside[:, None]
        return results


def _fill_in_training_parts(
    model: FairMOT, state_dict: dict, prefix: str, *_: object
) -> None:
    """Let a checkpoint differ in the training-only parts, and in nothing else.

    The reference implementation's weights come without a classifier, one trained on
    other data does not fit, and a model for tracking has none: in each case the model
    keeps its own.

    Raises:
        ValueError: If not a single tensor of the backbone fits.
    """
    own = model.state_dict(prefix=prefix)
    given = {key: value.shape for key, value in state_dict.items()}
    backbone = [key for key in own if key.startswith(f"{prefix}backbone.")]
    if backbone and not any(given.get(key) == own[key].shape for key in backbone):
        raise ValueError(
            "checkpoint of another architecture: none of its tensors fits the "
            f"{len(backbone)} of {type(model.backbone).__name__}; it holds "
            f"{', '.join(list(given)[:3])}, ... Convert checkpoints of the "
            "reference implementation by tools/model_converters/fairmot2mm.py"
        )
    for part in TRAINING_ONLY:
        expected = {k: v for k, v in own.items() if k.startswith(prefix + part)}
        found = {k: v for k, v in given.items() if k.startswith(prefix + part)}
        if found == {k: v.shape for k, v in expected.items()}:
            continue
        if found and expected:
            shapes = ", ".join(str(tuple(shape)) for shape in found.values())
            MMLogger.get_current_instance().info(
                f"{part}* of the checkpoint has other shapes ({shapes}), the model "
                "keeps its own"
            )
        for key in found:
            del state_dict[key]
        state_dict.update(expected)
