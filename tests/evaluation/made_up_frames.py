"""Tracked frames of made-up sequences, as metrics get them."""

from collections.abc import Mapping, Sequence

import torch
from mmdet.structures import DetDataSample, TrackDataSample
from mmengine.evaluator import BaseMetric
from mmengine.structures import InstanceData


def instances(**fields: Sequence) -> InstanceData:
    """Boxes (n, 4) and what belongs to them; labels are 0 if not given."""
    boxes = torch.tensor(fields.pop("bboxes")).float().reshape(-1, 4)
    fields = {k: torch.as_tensor(v) for k, v in fields.items()}
    fields.setdefault("labels", torch.zeros(len(boxes), dtype=torch.long))
    return InstanceData(bboxes=boxes, **fields)


def frame(number: int, video: str = "A", **parts: InstanceData) -> DetDataSample:
    """Frame of a sequence, counted from 1."""
    metas = dict(sequence_root=video, frame_number=number, frame_range=(1, 200))
    return DetDataSample(metainfo=metas, **parts)


def figures_of(metric: BaseMetric, frames: Sequence) -> Mapping[str, float]:
    """Figures of frames that come one by one, as from the loops."""
    for sample in frames:
        metric.process({}, [TrackDataSample(video_data_samples=[sample]).to_dict()])
    return metric.evaluate(size=len(frames))
