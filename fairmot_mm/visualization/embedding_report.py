"""A page about embeddings: whom they tell apart, and whom they confuse."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from mmengine.logging import print_log
from scipy.optimize import linear_sum_assignment

from fairmot_mm.evaluation.cases import overlaps
from fairmot_mm.evaluation.reference_figures import verification_rates
from fairmot_mm.formats.boxes import xyxy_to_xywh
from fairmot_mm.formats.detection_dumps import DetectionDump
from fairmot_mm.formats.mot import MOTSequence, evaluated_pedestrians, read_gt

from .error_pictures import Cutout, cut_out
from .pages import write_page

GAPS = (1, 2, 5, 10, 20, 50, 100, 200)
FALSE_RATES = (1e-4, 1e-3, 1e-2, 1e-1)
_CURVE = np.logspace(-4, 0, 33)
_SAME_OBJECT = 0.5  # IoU
_MOST_PAIRED = 3000  # boxes whose pairs are formed, drawn by a seed
_MOST_MAPPED = 1200
_CONFUSIONS = 24
_SEED = 317


@dataclass(frozen=True)
class Looks:
    """Embeddings of the people of a sequence, where they were detected.

    Attributes:
        name: The sequence.
        embeddings: (N, D) float32 of length 1.
        people: (N,) identities in the ground truth.
        frames: (N,) from 1, ascending.
        boxes: (N, 4) true boxes x, y, w, h.
        missing: True boxes without a detection.
    """

    name: str
    embeddings: np.ndarray
    people: np.ndarray
    frames: np.ndarray
    boxes: np.ndarray
    missing: int


def collect_looks(sequence: MOTSequence, dump: DetectionDump) -> Looks:
    """Embeddings of the detections that people were found by.

    Each considered pedestrian of the ground truth is matched with the detection that
    overlaps most, one to one, if that is half or more.

    Raises:
        FileNotFoundError: The sequence has no ground truth.
        ValueError: The dump has no embeddings, or nobody was detected.
    """
    if not dump.embeddings.shape[1]:
        raise ValueError(f"{dump.source}: no embeddings in it")
    truth = read_gt(sequence)
    truth = truth.select(evaluated_pedestrians(truth))
    people, rows = [], []
    for frame in np.unique(truth.frames):
        (here,) = np.nonzero(truth.frames == frame)
        seen = dump.rows(int(frame))
        boxes = xyxy_to_xywh(dump.bboxes[seen].astype(float))
        ious = overlaps(truth.boxes[here], boxes)
        ious[ious < _SAME_OBJECT] = 0
        first, second = linear_sum_assignment(-ious)
        right = ious[first, second] > 0
        people.append(here[first[right]])
        rows.append(seen.start + second[right])
    chosen, found = np.concatenate(people), np.concatenate(rows)
    if not len(chosen):
        raise ValueError(
            f"{dump.source}: no detection overlaps a person of {sequence.gt_path}: is "
            "it a dump of this sequence?"
        )
    vectors = dump.embeddings[found].astype(np.float32)
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return Looks(
        sequence.name,
        vectors / np.maximum(lengths, np.finfo(np.float32).tiny),
        truth.ids[chosen],
        truth.frames[chosen],
        truth.boxes[chosen],
        len(truth) - len(chosen),
    )


def distances_by_gap(looks: Looks) -> dict[str, list]:
    """Quartiles of the cosine distances of people so many frames apart.

    Returns:
        ``gaps`` for which there are pairs of both kinds; ``same`` and ``different``,
        (25, 50, 75 %) for each of them.
    """
    found: dict[str, list] = dict(gaps=[], same=[], different=[])
    starts = {
        int(frame): np.nonzero(looks.frames == frame)[0]
        for frame in np.unique(looks.frames)
    }
    for gap in GAPS:
        same, different = [], []
        for frame, here in starts.items():
            there = starts.get(frame + gap)
            if there is None:
                continue
            distance = 1 - looks.embeddings[here] @ looks.embeddings[there].T
            equal = looks.people[here][:, None] == looks.people[there]
            same.append(distance[equal])
            different.append(distance[~equal])
        pairs = [np.concatenate(part or [np.empty(0)]) for part in (same, different)]
        if all(len(part) for part in pairs):
            found["gaps"].append(gap)
            for name, part in zip(("same", "different"), pairs, strict=True):
                found[name].append(np.percentile(part, (25, 50, 75)).tolist())
    return found


def nearest_wrong(looks: Looks) -> list[tuple[int, int, float]]:
    """The most similar boxes of different people, once for each pair of people.

    Returns:
        Two indices and the cosine distance, the smallest first.
    """
    drawn = _draw(len(looks.people), _MOST_PAIRED)
    people = looks.people[drawn]
    names = np.unique(people)
    members = [drawn[people == name] for name in names]
    found = []
    for i, mine in enumerate(members):
        for others in members[:i]:
            distance = 1 - looks.embeddings[mine] @ looks.embeddings[others].T
            a, b = np.unravel_index(distance.argmin(), distance.shape)
            found.append((int(mine[a]), int(others[b]), float(distance[a, b])))
    return sorted(found, key=lambda pair: pair[2])[:_CONFUSIONS]


def tsne_map(looks: Looks) -> tuple[np.ndarray, np.ndarray]:
    """A map on which similar embeddings are near (t-SNE, by scikit-learn).

    Returns:
        Indices of the boxes that were drawn (n,), and their places (n, 2).
    """
    from sklearn.manifold import TSNE

    drawn = _draw(len(looks.people), _MOST_MAPPED)
    if len(drawn) < 4:
        return drawn[:0], np.empty((0, 2))
    tsne = TSNE(
        perplexity=min(30, (len(drawn) - 1) / 3),
        metric="cosine",
        init="random",
        random_state=_SEED,
    )
    return drawn, tsne.fit_transform(looks.embeddings[drawn])


def write_embedding_report(
    path: Path,
    sequences: Sequence[MOTSequence],
    looks: Sequence[Looks],
    config: str = "",
) -> dict[str, dict[str, float]]:
    """Write the page.

    Args:
        path: The page.
        sequences: The sequences; their frames are read.
        looks: The embeddings of each.
        config: Name of the network.

    Returns:
        By sequence, true positive rates at ``FALSE_RATES``, as of ``EmbeddingMetric``.

    Raises:
        OSError: A frame cannot be read, or the page cannot be written.
    """
    rates: dict[str, dict[str, float]] = {}
    parts = []
    for sequence, found in zip(sequences, looks, strict=True):
        drawn = _draw(len(found.people), _MOST_PAIRED)
        vectors, people = found.embeddings[drawn], found.people[drawn]
        levels = [*FALSE_RATES, *_CURVE]
        curve = verification_rates(vectors, people, levels)
        named = zip(FALSE_RATES, curve, strict=False)
        rates[found.name] = {f"TPR@FAR{level:g}": rate for level, rate in named}
        mapped, places = tsne_map(found)
        parts.append(
            dict(
                name=found.name,
                gaps=distances_by_gap(found),
                rates=dict(false=_CURVE, true=curve[len(FALSE_RATES) :]),
                map=dict(
                    x=places[:, 0].round(2),
                    y=places[:, 1].round(2),
                    people=found.people[mapped],
                    frames=found.frames[mapped],
                ),
                confusions=_confusions(sequence, found),
            )
        )
        print_log(
            f"{found.name}: {len(found.people)} boxes of {len(np.unique(found.people))}"
            f" people ({found.missing} more were not detected)",
            logger="current",
        )
    write_page(
        path,
        "embedding_report.html",
        dict(sequences=parts),
        title="Embedding report",
        config=config,
        levels=FALSE_RATES,
        rates=rates,
    )
    return rates


def _confusions(sequence: MOTSequence, looks: Looks) -> list[dict]:
    pairs = nearest_wrong(looks)
    shown = [index for *both, _ in pairs for index in both]
    frames = {int(looks.frames[index]) for index in shown}
    contents = cut_out(
        [Cutout(int(looks.frames[i]), looks.boxes[i], True, -1) for i in shown],
        {frame: sequence.image_path(frame) for frame in frames},
        np.empty((0, 7)),
    )
    captions = [f"person {looks.people[i]}, frame {looks.frames[i]}" for i in shown]
    return [
        dict(
            distance=distance,
            pictures=[[captions[k], contents[k]] for k in (2 * i, 2 * i + 1)],
        )
        for i, (*_, distance) in enumerate(pairs)
    ]


def _draw(count: int, most: int) -> np.ndarray:
    """Indices of so many of ``count``, ascending."""
    if count <= most:
        return np.arange(count)
    rng = np.random.default_rng(_SEED)
    return np.sort(rng.choice(count, most, replace=False))
