"""A model without a network, which finds bright boxes; blue frames kill it."""

import os
import time

import cv2
import numpy as np
import torch
from mmengine.structures import InstanceData

from fairmot_mm.models.mot.online_mot import OnlineMOT
from fairmot_mm.registry import MODELS
from fairmot_mm.structures.letterbox import input_to_image


@MODELS.register_module()
class BrightBoxes(OnlineMOT):
    num_classes = 1

    def __init__(self, tracker, delay=0.0, data_preprocessor=None):
        super().__init__(data_preprocessor)
        self.tracker = MODELS.build(tracker)
        self.delay = delay
        self.weight = torch.nn.Parameter(torch.zeros(1))

    def loss(self, inputs, data_samples):
        raise NotImplementedError

    @torch.no_grad()
    def predict_frames(self, inputs, metas, truth=None):
        time.sleep(self.delay)
        return [self._find(x, y) for x, y in zip(inputs, metas, strict=True)]

    def _find(self, image, meta):
        red, _, blue = image.mean((1, 2)).tolist()
        if blue > 0.5 and red < 0.3:
            os._exit(1)
        bright = (image[0] > 0.6).numpy().astype(np.uint8)
        _, _, stats, _ = cv2.connectedComponentsWithStats(bright)
        x, y, w, h, _ = stats[1:].T
        corners = torch.from_numpy(np.column_stack((x, y, x + w, y + h))).float()
        return InstanceData(
            bboxes=input_to_image(corners, meta, tuple(image.shape[1:])),
            scores=torch.full((len(corners),), 0.9),
            labels=torch.zeros(len(corners), dtype=torch.long),
            embeddings=torch.eye(8)[: len(corners)],
        )
