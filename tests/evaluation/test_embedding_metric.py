import pytest
import torch
from made_up_frames import figures_of, frame, instances

from fairmot_mm.evaluation import EmbeddingMetric
from fairmot_mm.registry import METRICS


def people(angles: dict[int, float], labels: list[int] | None = None):
    """Identities whose embeddings point in some direction, in degrees."""
    directions = torch.deg2rad(torch.tensor(list(angles.values())).float())
    return instances(
        bboxes=[[0, 0, 10, 20]] * len(angles),
        instances_ids=list(angles),
        labels=labels or [0] * len(angles),
        embeddings=torch.stack((directions.cos(), directions.sin()), 1),
    )


def test_ranks_by_hand():
    frames = [
        frame(1, gt_instances=people({1: 0, 2: 40})),
        frame(2, gt_instances=people({1: 30, 2: 20, 3: 90})),
        frame(3, gt_instances=people({1: 5})),
    ]
    metric = METRICS.build(dict(type="EmbeddingMetric", gaps=(1, 2, 3)))
    figures = figures_of(metric, frames)
    # From frame 1 to 2: identity 1 is 30 degrees from itself, 20 from the other;
    # identity 2 is 20 from itself, 10 from the other. On frame 3 identity 1 is alone.
    assert figures["emb/rank1@1"] == pytest.approx(1 / 3)
    assert figures["emb/mAP@1"] == pytest.approx((1 / 2 + 1 / 2 + 1) / 3)
    assert figures["emb/rank1@2"] == figures["emb/mAP@2"] == 1
    assert not any(key.endswith("@3") for key in figures)


def test_equal_embeddings_tell_nobody_apart():
    same = {1: 0, 2: 0, 3: 0}
    frames = [frame(number, gt_instances=people(same)) for number in (1, 2)]
    figures = figures_of(EmbeddingMetric(gaps=(1,)), frames)
    assert figures["emb/rank1@1"] == 0
    assert figures["emb/mAP@1"] == pytest.approx(1 / 3)


def test_rates_are_over_all_pairs_and_identities_a_sequences_own():
    # Identity 1 of the other sequence is somebody else, who looks the same.
    frames = [
        frame(1, gt_instances=people({1: 0})),
        frame(2, gt_instances=people({1: 30})),
        frame(1, "B", gt_instances=people({1: 10})),
    ]
    figures = figures_of(EmbeddingMetric(gaps=()), frames)
    # By similarity: different (10), different (20), same (30).
    assert figures == {f"emb/TPR@FAR{rate}": 0 for rate in (0.1, 0.01, 0.001, 0.0001)}


def test_classes_are_different_identities():
    figures = figures_of(
        EmbeddingMetric(gaps=(1,), false_rates=(0.5, 0.9)),
        [
            frame(1, gt_instances=people({1: 0, 2: 90}, [0, 1])),
            frame(2, gt_instances=people({1: 60, 2: 10}, [0, 1])),
        ],
    )
    # Among people of its class each is alone.
    assert figures["emb/rank1@1"] == 1
    # Pairs by angle: different 10, 30 and 50, same 60 and 80, different 90.
    assert figures["emb/TPR@FAR0.5"] == 0
    assert figures["emb/TPR@FAR0.9"] == 1


def test_boxes_without_identity_or_embedding_are_left_out(monkeypatch):
    first = people({1: 0, 2: 40, -1: 0})
    first.embeddings[1] = 0
    second = people({1: 10, 2: 5, -1: 0})
    second.embeddings[1] = 0
    frames = [frame(1, gt_instances=first), frame(2, gt_instances=second)]
    messages: list[str] = []
    monkeypatch.setattr(
        "fairmot_mm.evaluation.embedding_metric.MMLogger.get_current_instance",
        lambda: type("Log", (), dict(info=messages.append, warning=messages.append)),
    )
    figures = figures_of(EmbeddingMetric(gaps=(1,)), frames)
    assert figures == {"emb/rank1@1": 1, "emb/mAP@1": 1}
    assert "2 true boxes (2 more have their centre outside" in messages[-1]
    assert figures_of(EmbeddingMetric(), [frame(1)]) == {}
    assert "with_ground_truth=True" in messages[-1]


def test_many_boxes_are_drawn_by_seed():
    frames = [
        frame(number, gt_instances=people({1: number % 17, 2: 25 + number % 17}))
        for number in range(1, 60)
    ]
    whole, again, other, part = (
        figures_of(EmbeddingMetric(gaps=(1,), max_boxes=count, seed=seed), frames)
        for count, seed in ((118, 1), (118, 2), (30, 1), (30, 1))
    )
    assert whole == again
    assert other == part
    assert part["emb/TPR@FAR0.1"] != whole["emb/TPR@FAR0.1"]
    assert part["emb/rank1@1"] == whole["emb/rank1@1"]
