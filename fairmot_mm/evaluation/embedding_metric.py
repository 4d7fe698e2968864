from collections.abc import Sequence

import numpy as np
from mmdet.structures import DetDataSample
from mmengine.logging import MMLogger
from mmengine.structures import InstanceData

from fairmot_mm.registry import METRICS

from .frame_metric import FrameMetric, Frames, to_arrays
from .reference_figures import verification_rates


@METRICS.register_module()
class EmbeddingMetric(FrameMetric):
    """How well embeddings tell people apart, at the true boxes, whatever is detected.

    Figures are fractions. ``emb/TPR@FAR0.1`` to ``emb/TPR@FAR0.0001``: true positive
    rates at false positive rates over all pairs of boxes, as the reference
    implementation's ``test_emb.py``. ``emb/rank1@10`` and ``emb/mAP@10``: a box of
    frame t is searched among the boxes of frame t + 10 of its sequence. There is one
    right box, so its average precision is 1 / rank; of equally similar boxes the right
    one ranks last. Boxes whose identity is not on the later frame are not searched. The
    same number in another sequence or class is another identity.

    Every frame is a ``DetDataSample`` with the metas of :class:`FrameMetric` and, where
    there is ground truth, ``gt_instances``: ``instances_ids`` (-1 for none), ``labels``
    and ``embeddings`` (n, D) of unit length, zero where there is none (:class:`FairMOT`
    reads them off its map). Frames without are left out.

    Args:
        gaps: Numbers of frames between a box and those it is searched among.
        false_rates: False positive rates of the pairs.
        max_boxes: If there are more, so many are drawn for the pairs, whose number
            grows with the square (5000: 1.5 GB for a moment). The ranks are of all.
        seed: Of this draw.
        **kwargs: For :class:`FrameMetric`.
    """

    default_prefix = "emb"

    def __init__(
        self,
        gaps: Sequence[int] = (1, 10, 30, 100),
        false_rates: Sequence[float] = (1e-1, 1e-2, 1e-3, 1e-4),
        max_boxes: int = 5000,
        seed: int = 317,
        **kwargs: object,
    ) -> None:
        super().__init__(**kwargs)
        self.gaps = tuple(gaps)
        self.false_rates = tuple(false_rates)
        self.max_boxes = max_boxes
        self.seed = seed

    def read_frame(self, frame: DetDataSample) -> InstanceData | None:
        """The people with identity, if the frame has ground truth."""
        truth = frame.get("gt_instances", {})
        if "embeddings" not in truth:
            return None
        people = to_arrays(truth, "embeddings", "instances_ids", "labels")
        return people[people.instances_ids >= 0]

    def compute_metrics(self, results: Frames) -> dict[str, float]:
        """Score the frames."""
        logger = MMLogger.get_current_instance()
        frames = [(video, n, x[x.embeddings.any(1)]) for video, n, x in results]
        count = sum(len(people) for *_, people in frames)
        if not count:
            logger.warning(
                "EmbeddingMetric: no frame has embeddings of true boxes, so no "
                "figures: set with_ground_truth=True of the test dataset"
            )
            return {}
        figures = self._pair_figures(frames)
        for gap in self.gaps:
            figures |= _search_figures(frames, gap)
        missing = sum(len(people) for *_, people in results) - count
        logger.info(
            f"embeddings of {count} true boxes ({missing} more have their centre "
            f"outside the image): "
            + ", ".join(f"{key} {100 * value:.1f}" for key, value in figures.items())
        )
        return figures

    def _pair_figures(self, frames: Frames) -> dict[str, float]:
        """True positive rates over the pairs of all boxes, or of those drawn."""
        videos = {video: number for number, (video, *_) in enumerate(frames)}
        keys = [
            np.column_stack((np.full(len(x), videos[video]), x.labels, x.instances_ids))
            for video, _, x in frames
        ]
        _, identities = np.unique(np.concatenate(keys), axis=0, return_inverse=True)
        vectors = np.concatenate([people.embeddings for *_, people in frames])
        if len(vectors) > self.max_boxes:
            MMLogger.get_current_instance().info(
                f"pairs of {self.max_boxes} of the {len(vectors)} boxes, drawn by seed "
                f"{self.seed}"
            )
            rng = np.random.default_rng(self.seed)
            drawn = rng.choice(len(vectors), self.max_boxes, replace=False)
            vectors, identities = vectors[drawn], identities[drawn]
        rates = verification_rates(vectors, identities.ravel(), self.false_rates)
        # No rates without positive or without negative pairs.
        pairs = zip(self.false_rates, rates, strict=False)
        return {f"TPR@FAR{level:g}": rate for level, rate in pairs}


def _search_figures(frames: Frames, gap: int) -> dict[str, float]:
    """Rank-1 rate and mAP of searches ``gap`` frames later, if there are any."""
    galleries = {(video, number): people for video, number, people in frames}
    ranks = [np.empty(0)]
    for video, number, people in frames:
        if (video, number + gap) in galleries:
            ranks.append(_ranks(people, galleries[video, number + gap]))
    found = np.concatenate(ranks)
    if len(found) == 0:
        return {}
    return {
        f"rank1@{gap}": float((found == 1).mean()),
        f"mAP@{gap}": float((1 / found).mean()),
    }


def _ranks(query: InstanceData, gallery: InstanceData) -> np.ndarray:
    """Rank, from 1, of the right box for each query whose identity is there."""
    same_class = query.labels[:, None] == gallery.labels
    right = (query.instances_ids[:, None] == gallery.instances_ids) & same_class
    similarity = query.embeddings @ gallery.embeddings.T
    similarity = np.where(same_class, similarity, -np.inf)
    searched = right.any(1)
    best = np.where(right, similarity, -np.inf).max(1, initial=-np.inf)
    return (similarity >= best[:, None]).sum(1)[searched]
