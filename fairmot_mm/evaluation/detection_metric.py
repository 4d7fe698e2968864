import contextlib
import io
from collections.abc import Iterable, Sequence

import numpy as np
from mmdet.structures import DetDataSample
from mmengine.logging import MMLogger
from mmengine.structures import InstanceData

from fairmot_mm.formats.boxes import xyxy_to_xywh
from fairmot_mm.registry import METRICS
from fairmot_mm.structures.arrays import to_numpy

from .frame_metric import FrameMetric, Frames, to_arrays
from .reference_figures import image_figures

# What is to be found, boxes (m, 4) xyxy that do not count, and what was found.
_Frame = tuple[InstanceData, np.ndarray, InstanceData]
# The same of a class, of which the boxes (n, 4) alone are to be found.
_ClassFrame = tuple[np.ndarray, np.ndarray, InstanceData]


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
    except in the reference figures. Frames without ground truth are left out.

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
        truth = frame.get("gt_instances", {})
        if "bboxes" not in truth:
            return None
        ignored = frame.get("ignored_instances", {}).get("bboxes", np.empty((0, 4)))
        found = to_arrays(frame.pred_instances, "bboxes", "labels", "scores")
        return to_arrays(truth, "bboxes", "labels"), to_numpy(ignored), found

    def compute_metrics(self, results: Frames) -> dict[str, float]:
        """Score the frames."""
        logger = MMLogger.get_current_instance()
        frames: list[_Frame] = [frame for *_, frame in results]
        labels = sorted({int(x) for truth, *_ in frames for x in truth.labels})
        if not labels:
            logger.warning(
                "DetectionMetric: no frame has true boxes, so no figures: set "
                "with_ground_truth=True of the test dataset"
            )
            return {}
        classes = (self.dataset_meta or {}).get("classes", ())
        by_class = {}
        for label in labels:
            own = [
                (x.bboxes[x.labels == label], ignored, y[y.labels == label])
                for x, ignored, y in frames
            ]
            name = classes[label] if label < len(classes) else f"class {label}"
            by_class[name] = self._coco_figures(own) | _reference_figures(own)
        figures = {
            name: float(np.mean([found[name] for found in by_class.values()]))
            for name in next(iter(by_class.values()))
        }
        if len(by_class) > 1:
            for name, found in by_class.items():
                figures |= {f"{name}/{key}": value for key, value in found.items()}
        logger.info(
            f"detections on {len(frames)} frames: "
            + ", ".join(f"{key} {100 * value:.1f}" for key, value in figures.items())
        )
        return figures

    def _coco_figures(self, frames: Sequence[_ClassFrame]) -> dict[str, float]:
        """COCO's figures over boxes of every size."""
        from pycocotools.cocoeval import COCOeval

        targets = (
            (np.concatenate((true, ignored)), [0] * len(true) + [1] * len(ignored))
            for true, ignored, _ in frames
        )
        detections = ((found.bboxes, found.scores) for *_, found in frames)
        with contextlib.redirect_stdout(io.StringIO()):
            truth, found = _coco("iscrowd", targets), _coco("score", detections)
            scorer = COCOeval(truth, found, "bbox")
            scorer.params.imgIds = range(len(frames))
            scorer.params.maxDets = [self.max_detections]
            scorer.params.areaRng = scorer.params.areaRng[:1]
            scorer.evaluate()
            scorer.accumulate()
        # IoU x recall, IoU.
        precision = scorer.eval["precision"][:, :, 0, 0, 0].mean(1)
        recall = scorer.eval["recall"][:, 0, 0, 0]
        figures = precision.mean(), precision[0], precision[5], recall.mean()
        return dict(zip(("AP", "AP50", "AP75", "AR"), map(float, figures), strict=True))


def _coco(key: str, images: Iterable[tuple[np.ndarray, Iterable]]) -> object:
    """COCO's index of the boxes (n, 4) xyxy of images, with their n values of a key."""
    from pycocotools.coco import COCO

    rows: list[dict] = []
    for image, (boxes, values) in enumerate(images):
        for box, value in zip(xyxy_to_xywh(boxes).tolist(), values, strict=True):
            row = dict(image_id=image, category_id=0, bbox=box, area=box[2] * box[3])
            rows.append({"id": len(rows) + 1, key: value, **row})  # 0 is no match
    coco = COCO()
    coco.dataset = dict(annotations=rows, categories=[dict(id=0)])
    coco.createIndex()
    return coco


def _reference_figures(frames: Sequence[_ClassFrame]) -> dict[str, float]:
    """Means over the images that have true boxes."""
    figures = [image_figures(x, y.bboxes, y.scores) for x, _, y in frames if len(x)]
    names = ("reference/AP", "reference/recall", "reference/precision")
    return dict(zip(names, np.mean(figures, 0).tolist(), strict=True))
