import json
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.multiprocessing
from made_up_frames import figures_of, frame, instances

from fairmot_mm.evaluation import DetectionMetric
from fairmot_mm.registry import METRICS

A, B, C = ([x, 0, x + 40, 100] for x in (0, 100, 200))
# IoU 0.8 with A: above 0.5, 0.55, ..., 0.75 and, not quite, 0.8.
NEARLY_A = [0, 0, 40, 79.99]


def detections(boxes, scores, labels=None):
    return instances(bboxes=boxes, scores=scores, labels=labels or [0] * len(boxes))


def two_frames() -> list:
    """Found exactly, found nearly, missed; one false detection in between."""
    return [
        frame(
            1,
            gt_instances=instances(bboxes=[A, B]),
            pred_instances=detections([NEARLY_A, C], [0.9, 0.8]),
        ),
        frame(
            2,
            gt_instances=instances(bboxes=[A, B]),
            pred_instances=detections([A, B], [0.95, 0.1]),
        ),
    ]


def test_figures_by_hand():
    figures = figures_of(METRICS.build(dict(type="DetectionMetric")), two_frames())
    # By score: right (A), right up to 0.75 (nearly A), wrong (C), right (B); 4 boxes.
    # COCO samples the precision at 101 recalls: 51 up to 1/2, 25 up to 3/4.
    loose = (51 * 1 + 25 * 3 / 4) / 101
    # Without the second one: 26 recalls at precision 1, 25 at 2/4.
    strict = (26 + 25 / 2) / 101
    assert figures["det/AP50"] == pytest.approx(loose)
    assert figures["det/AP75"] == pytest.approx(loose)
    assert figures["det/AP"] == pytest.approx((6 * loose + 4 * strict) / 10)
    assert figures["det/AR"] == pytest.approx((6 * 3 / 4 + 4 * 2 / 4) / 10)
    # The first image: AP 1/2 of its two boxes; the second: all.
    assert figures["det/reference/AP"] == pytest.approx(0.75)
    assert figures["det/reference/recall"] == pytest.approx(0.75)
    assert figures["det/reference/precision"] == pytest.approx(0.75)
    assert len(figures) == 7


def test_ignored_boxes_are_neither_right_nor_wrong():
    def figures(**ignored):
        sample = frame(
            1,
            gt_instances=instances(bboxes=[A]),
            pred_instances=detections([C, A], [0.9, 0.8]),
            **ignored,
        )
        return figures_of(DetectionMetric(), [sample])["det/AP50"]

    assert figures() == pytest.approx(0.5)
    assert figures(ignored_instances=instances(bboxes=[C])) == pytest.approx(1)


def test_frames_count_once_and_those_without_ground_truth_not_at_all():
    alone = figures_of(DetectionMetric(), two_frames())
    without = frame(3, pred_instances=detections([C], [0.99]))
    frames = [*two_frames(), two_frames()[0], without]
    assert figures_of(DetectionMetric(), frames) == alone
    assert figures_of(DetectionMetric(), [without]) == {}


def test_frames_where_nobody_is_count_the_false_detections():
    empty = frame(
        3,
        gt_instances=instances(bboxes=[]),
        pred_instances=detections([C], [0.99]),
    )
    figures = figures_of(DetectionMetric(), [*two_frames(), empty])
    alone = figures_of(DetectionMetric(), two_frames())
    assert figures["det/AP50"] < alone["det/AP50"]
    # The reference implementation leaves such images out.
    assert figures["det/reference/AP"] == alone["det/reference/AP"]


def test_nothing_found():
    nothing = frame(
        1, gt_instances=instances(bboxes=[A]), pred_instances=detections([], [])
    )
    figures = figures_of(DetectionMetric(), [nothing])
    assert set(figures.values()) == {0}
    assert len(figures) == 7


def test_classes_have_figures_of_their_own():
    metric = DetectionMetric()
    metric.dataset_meta = dict(classes=("pedestrian", "car"))
    sample = frame(
        1,
        gt_instances=instances(bboxes=[A, B], labels=[0, 1]),
        pred_instances=detections([A, B], [0.9, 0.8], [0, 0]),
    )
    figures = figures_of(metric, [sample])
    assert figures["det/pedestrian/AP"] == pytest.approx(1)
    assert figures["det/car/AP"] == 0
    assert figures["det/AP"] == pytest.approx(0.5)
    assert figures["det/car/reference/recall"] == 0


def test_only_the_best_detections_of_a_frame_count():
    sample = frame(
        1,
        gt_instances=instances(bboxes=[A]),
        pred_instances=detections([C, A], [0.9, 0.8]),
    )
    assert figures_of(DetectionMetric(max_detections=1), [sample])["det/AP"] == 0


def _evaluate_in_process(rank: int, folder: str) -> None:
    torch.set_num_threads(1)
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{folder}/store", rank=rank, world_size=2
    )
    figures = figures_of(DetectionMetric(), two_frames()[rank:][:1])
    Path(folder, f"figures{rank}.json").write_text(json.dumps(figures))
    torch.distributed.destroy_process_group()


def test_processes_agree_with_one(tmp_path):
    torch.multiprocessing.spawn(_evaluate_in_process, (str(tmp_path),), nprocs=2)
    alone = figures_of(DetectionMetric(), two_frames())
    for rank in (0, 1):
        assert json.loads((tmp_path / f"figures{rank}.json").read_text()) == alone


def test_half_precision_scores_are_taken():
    sample = two_frames()[0]
    sample.pred_instances.scores = sample.pred_instances.scores.bfloat16()
    assert np.isfinite(figures_of(DetectionMetric(), [sample])["det/AP"])
