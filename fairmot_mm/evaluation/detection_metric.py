"""Average precision of the detections that are tracked."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Sequence

import numpy as np
from mmdet.structures import DetDataSample
from mmengine.logging import MMLogger

from fairmot_mm.formats.boxes import xyxy_to_xywh
from fairmot_mm.registry import METRICS
from fairmot_mm.structures.arrays import to_numpy

from .frame_metric import FrameMetric, join_frames
from .reference_figures import image_figures

# Boxes (K, 4) xyxy with their labels (K,) and, of detections, scores (K,).
_Truth = tuple[np.ndarray, np.ndarray]
_Found = tuple[np.ndarray, np.ndarray, np.ndarray]
# What is to be found, what does not count, and what was found on a frame.
_Frame = tuple[_Truth, np.ndarray, _Found]


@METRICS.register_module()
class DetectionMetric(FrameMetric):
    """Average precision of the detections, before the tracker selects any.

    Figures are fractions: ``det/AP`` (mean over IoU 0.5 to 0.95), ``det/AP50``,
    ``det/AP75`` and ``det/AR`` (recall, mean over the same IoU) by COCO's protocol over
    the boxes of all frames; ``det/reference/AP``, ``recall`` and ``precision`` as the
    reference implementation's ``test_det.py``: per image at IoU 0.5, mean over the
    images with true boxes. With several classes each figure is the mean over those that
    have true boxes, and ``det/NAME/AP``, ... are a class' own.

    Every frame is a ``DetDataSample`` with ``pred_instances`` (``bboxes`` (K, 4) xyxy
    in pixels of the original image, ``scores``, ``labels``), the metas of
    :class:`FrameMetric` and, where there is ground truth, ``gt_instances`` (``bboxes``,
    ``labels``). Detections in ``ignored_instances.bboxes`` are neither right nor wrong,
    except for the reference figures, which know nothing to ignore. Frames without
    ground truth are left out.

    Args:
        max_detections: Best detections of a class on a frame that count for COCO's
            figures.
        **kwargs: For :class:`FrameMetric`.
    """

    default_prefix = "det"

    def __init__(self, max_detections: int = 500, **kwargs: object) -> None:
        super().__init__(**kwargs)
        self.max_detections = max_detections

    def read_frame(self, frame: DetDataSample) -> _Frame | None:
        """Boxes of one frame, if it has ground truth."""
        truth, found = frame.get("gt_instances", {}), frame.pred_instances
        if "bboxes" not in truth:
            return None
        ignored = frame.get("ignored_instances", {})
        return (
            (to_numpy(truth.bboxes), to_numpy(truth.labels)),
            to_numpy(ignored.get("bboxes", np.empty((0, 4)))),
            (to_numpy(found.bboxes), to_numpy(found.labels), to_numpy(found.scores)),
        )

    def compute_metrics(self, results: list[tuple]) -> dict[str, float]:
        """Score the frames of all processes (in the main one only)."""
        logger = MMLogger.get_current_instance()
        frames: list[_Frame] = [
            frame for video in join_frames(results).values() for frame in video.values()
        ]
        labels = sorted({int(x) for (_, labels), _, _ in frames for x in labels})
        if not labels:
            logger.warning(
                "DetectionMetric: no frame has true boxes, so no figures: set "
                "with_ground_truth=True of the test dataset"
            )
            return {}
        by_class = {
            self._class_name(label): self._coco_figures(frames, label)
            | _reference_figures(frames, label)
            for label in labels
        }
        names = next(iter(by_class.values()))
        figures = {
            name: float(np.mean([found[name] for found in by_class.values()]))
            for name in names
        }
        if len(by_class) > 1:
            for name, found in by_class.items():
                figures |= {f"{name}/{key}": value for key, value in found.items()}
        logger.info(
            f"detections on {len(frames)} frames: "
            + ", ".join(f"{key} {100 * value:.1f}" for key, value in figures.items())
        )
        return figures

    def _class_name(self, label: int) -> str:
        """Name of a class for people."""
        classes = (self.dataset_meta or {}).get("classes", ())
        return classes[label] if label < len(classes) else f"class {label}"

    def _coco_figures(self, frames: Sequence[_Frame], label: int) -> dict[str, float]:
        """COCO's figures of one class over boxes of every size."""
        from pycocotools.coco import COCO
        from pycocotools.cocoeval import COCOeval

        annotations: list[dict] = []
        rows = []
        for image, ((boxes, labels), ignored, found) in enumerate(frames):
            own = boxes[labels == label]
            for number, box in enumerate(xyxy_to_xywh(np.concatenate((own, ignored)))):
                annotations.append(
                    dict(
                        id=len(annotations) + 1,  # 0 would never be matched
                        image_id=image,
                        category_id=label,
                        bbox=box.tolist(),
                        area=float(box[2] * box[3]),
                        iscrowd=int(number >= len(own)),
                    )
                )
            chosen = found[1] == label
            boxes, scores = xyxy_to_xywh(found[0][chosen]), found[2][chosen]
            rows.append(np.column_stack((np.full(len(boxes), image), boxes, scores)))
        with contextlib.redirect_stdout(io.StringIO()):
            truth = COCO()
            truth.dataset = dict(
                images=[dict(id=image) for image in range(len(frames))],
                categories=[dict(id=label)],
                annotations=annotations,
            )
            truth.createIndex()
            detections = np.concatenate(rows)
            if len(detections) == 0:
                return dict.fromkeys(("AP", "AP50", "AP75", "AR"), 0.0)
            detections = np.column_stack((detections, np.full(len(detections), label)))
            scorer = COCOeval(truth, truth.loadRes(detections), "bbox")
            scorer.params.maxDets = [self.max_detections]
            scorer.params.areaRng = scorer.params.areaRng[:1]
            scorer.params.areaRngLbl = scorer.params.areaRngLbl[:1]
            scorer.evaluate()
            scorer.accumulate()
        # IoU x recall, IoU.
        precision = scorer.eval["precision"][:, :, 0, 0, 0].mean(1)
        recall = scorer.eval["recall"][:, 0, 0, 0]
        return dict(
            AP=float(precision.mean()),
            AP50=float(precision[0]),
            AP75=float(precision[5]),
            AR=float(recall.mean()),
        )


def _reference_figures(frames: Sequence[_Frame], label: int) -> dict[str, float]:
    """Means over the images that have true boxes of a class."""
    figures = [
        image_figures(truth, found[0][found[1] == label], found[2][found[1] == label])
        for (boxes, labels), _, found in frames
        if len(truth := boxes[labels == label])
    ]
    names = ("AP", "recall", "precision")
    means = np.mean(figures, 0).tolist()
    return {f"reference/{name}": x for name, x in zip(names, means, strict=True)}
