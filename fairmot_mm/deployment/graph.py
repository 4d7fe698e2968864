"""What is exported of a model: from the bytes of a frame to what is at its peaks."""

import copy

import torch
from torch import Tensor, nn

from fairmot_mm.models import DCNv2, FairMOT
from fairmot_mm.models.dense_heads.decoding import decode_boxes, find_peaks

INPUTS = ("frame", "min_score", "cells", "boxes")
OUTPUTS = ("scores", "labels", "positions", "sizes", "offsets", "embeddings")


class PeakGraph(nn.Module):
    """The network of a FairMOT as one function of tensors, for exporters.

    Sizes, offsets and embeddings are computed at the peaks of the heatmap alone, as in
    ``FairMOT.predict_frame``: their whole maps take a quarter of the light network's
    time. Whoever needs them elsewhere (embeddings of true boxes) names the cells, and
    the boxes, whose colours a ``ColourEmbeddingHead`` reads.

    Args:
        model: Copied without its training-only parts, in single precision, with
            normalisation folded into the convolutions.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, model: FairMOT) -> None:
        super().__init__()
        model = copy.deepcopy(model).cpu()
        model.reid_head.set_num_ids(None)
        preprocessor = model.data_preprocessor
        self.swaps_channels = preprocessor._channel_conversion
        normalises = preprocessor._enable_normalize
        mean = preprocessor.mean if normalises else torch.zeros(3)
        std = preprocessor.std if normalises else torch.ones(3)
        self.register_buffer("mean", mean.reshape(1, 3, 1, 1).float())
        self.register_buffer("std", std.reshape(1, 3, 1, 1).float())
        model.optimize_for_inference(torch.float32)
        model._layout = None  # memory layout is the run time's business
        self.model = model.float().to(memory_format=torch.contiguous_format)
        for module in self.model.modules():
            if isinstance(module, DCNv2):
                module.backend = "torchvision"  # the operator that exporters know
        self.eval()

    def forward(
        self, frame: Tensor, min_score: Tensor, cells: Tensor, boxes: Tensor
    ) -> tuple[Tensor, ...]:
        """Detect and embed.

        Args:
            frame: (1, H, W, 3) uint8, BGR, letterboxed.
            min_score: (1,) float32; what is at peaks that score no higher is not
                computed.
            cells: (M,) int64 flat indices ``y * w + x`` of more cells to read, at least
                one.
            boxes: (M, 4) float32, the boxes of these cells' embeddings, xyxy in pixels
                of the input.

        Returns:
            Of K peaks, best first, ``scores`` (K,), 0 where there are fewer, and
            ``labels`` (K,). Of P + M cells, those of the peaks above ``min_score``
            first, ``positions`` (flat indices), ``sizes`` (4 or 2) and ``offsets`` (2)
            in cells, and ``embeddings`` (D) of length 1.
        """
        x = frame.permute(0, 3, 1, 2).float()
        if self.swaps_channels:
            x = x.flip(1)
        x = (x - self.mean) / self.std
        feats = self.model.extract_feat(x)
        head = self.model.bbox_head
        scores, labels, peaks = find_peaks(head.heatmap(feats), head.topk)
        chosen = peaks[0][scores[0] > min_score]
        positions = torch.cat((chosen, cells))
        image = torch.zeros_like(positions)
        sizes, offsets = head.boxes_at(feats, image, positions)
        map_hw, input_hw = feats[0].shape[-2:], x.shape[-2:]
        count = chosen.shape[0]
        at_peaks = (chosen, sizes[:count], offsets[:count])
        found = decode_boxes(*at_peaks, map_hw, input_hw)
        boxes = torch.cat((found, boxes))
        embeddings = self.model.embed(feats, image, positions, x, boxes)
        return scores[0], labels[0], positions, sizes, offsets, embeddings
