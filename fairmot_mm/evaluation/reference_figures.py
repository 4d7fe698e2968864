"""Detection and identity figures as the reference implementation computes them.

FairMOT's ``test_det.py`` and ``test_emb.py`` (ifzhang/FairMOT), to the digit.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch.nn import functional as F
from torchvision.ops import box_iou

MAX_DETECTIONS = 128


def image_figures(
    truth: np.ndarray, boxes: np.ndarray, scores: np.ndarray
) -> tuple[float, float, float]:
    """Average precision at an IoU of 0.5, recall and precision of one image.

    At most 128 detections count, more if scores are equal. A detection is right if the
    box it overlaps most is not found yet: a second best one is not tried.

    Args:
        truth: (n, 4) xyxy, n > 0.
        boxes: (K, 4) xyxy, best first.
        scores: (K,).
    """
    if len(scores) > MAX_DETECTIONS:
        kept = scores >= np.partition(scores, -MAX_DETECTIONS)[-MAX_DETECTIONS]
        boxes, scores = boxes[kept], scores[kept]
    if len(scores) == 0:
        return 0.0, 0.0, 0.0
    found, true = (torch.from_numpy(x).float() for x in (boxes, truth))
    # Boxes without extent give 0 / 0.
    overlaps = box_iou(found, true).nan_to_num().numpy()
    best = overlaps.argmax(1)
    right = np.zeros(len(scores), bool)
    hits = np.flatnonzero(overlaps.max(1) > 0.5)
    right[hits[np.unique(best[hits], return_index=True)[1]]] = True

    right = right[np.argsort(-scores, kind="stable")]
    hit_count = np.cumsum(right)
    recall = np.concatenate(([0], hit_count / len(truth), [1]))
    precision = np.concatenate(([0], hit_count / np.arange(1, len(right) + 1), [0]))
    # The area below the precision's envelope.
    envelope = np.maximum.accumulate(precision[::-1])[::-1]
    area = float(np.sum(np.diff(recall) * envelope[1:]))
    return area, float(recall[-2]), float(precision[-2])


def verification_rates(
    embeddings: np.ndarray, identities: np.ndarray, levels: Sequence[float]
) -> list[float]:
    """True positive rates at false positive rates (``levels``, FAR), over all pairs.

    A pair is positive if both are the same identity; its score is the cosine
    similarity, and pairs of exactly 0 do not count. Between the points of the curve it
    is interpolated linearly. The list is empty if no pair is positive, or none is
    negative. Memory grows with the square of n: about 60 n^2 bytes.

    Args:
        embeddings: (n, D) of any length but 0.
        identities: (n,).
        levels: From 0 to 1.
    """
    from sklearn.metrics import roc_curve  # takes a second to import

    unit = F.normalize(torch.from_numpy(embeddings).float(), dim=1)
    upper = np.triu_indices(len(identities), 1)
    similarity = (unit @ unit.T).numpy()[upper]
    same = (identities[:, None] == identities)[upper]
    same, similarity = same[similarity != 0], similarity[similarity != 0]
    if same.all() or not same.any():
        return []
    false_rate, true_rate, _ = roc_curve(same, similarity)
    return [float(rate) for rate in np.interp(levels, false_rate, true_rate)]
