r"""What the identity branch learnt, and what the tracker gains by it.

    python tools/analysis_tools/identity_value.py CONFIG CHECKPOINT --out figures.json

On the config's test data, which need ground truth: how well the network's embeddings
tell people apart, against those of the untrained network (random weights) and colour
histograms of the true boxes; and how well the tracker keeps identities with the
embeddings and without, by motion and overlap alone.
"""

from __future__ import annotations

import argparse
import copy
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from fairmot_mm.utils.command_line import (
    Parser,
    add_trust_option,
    command,
    open_config,
    running,
)

if TYPE_CHECKING:  # so that --help need not wait for MMEngine
    from mmdet.structures import DetDataSample
    from mmengine.config import Config
    from mmengine.evaluator import BaseMetric
    from mmengine.structures import InstanceData

    from fairmot_mm.models import JDETracker

TRACKING = ("HOTA", "IDF1", "IDSW", "MOTA")
BINS = (16, 8, 8)  # hue, saturation, value


class InSeveralWays:
    """Trackers that follow the same detections, some without the embeddings.

    Args:
        ways: By a name: a tracker, and whether it is shown the embeddings.
    """

    def __init__(self, ways: Mapping[Any, tuple[JDETracker, bool]]) -> None:
        self.ways = ways
        self.found: dict[Any, InstanceData] = {}

    def track(self, *, data_sample: DetDataSample, **kwargs: Any) -> InstanceData:
        """Track the next frame in all ways; ``found`` keeps what each gives."""
        blind = copy.copy(data_sample)
        blind.pred_instances = copy.copy(data_sample.pred_instances)
        blind.pred_instances.pop("embeddings")
        self.found = {
            way: tracker.track(data_sample=data_sample if sees else blind, **kwargs)
            for way, (tracker, sees) in self.ways.items()
        }
        return next(iter(self.found.values()))


def colour_histograms(image: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """Embeddings of boxes by the colours in them.

    Args:
        image: (H, W, 3) BGR.
        boxes: (n, 4) xyxy in pixels.

    Returns:
        (n, 1024) of unit length: the root of each bin's share, so that the cosine
        similarity is Bhattacharyya's coefficient; 0 for boxes outside the image.
    """
    hsv = cv2.cvtColor(image, cv2.COLOR_BGR2HSV)
    found = np.zeros((len(boxes), int(np.prod(BINS))), np.float32)
    for row, (left, top, right, bottom) in enumerate(boxes.clip(0).astype(int)):
        crop = hsv[top : bottom + 1, left : right + 1]
        if crop.size:
            counts = cv2.calcHist(
                [crop], [0, 1, 2], None, BINS, [0, 180, 0, 256, 0, 256]
            )
            found[row] = np.sqrt(counts.ravel() / counts.sum())
    return found


def compare(
    cfg: Config, checkpoint: str, seed: int, trusted: bool
) -> dict[str, dict[str, dict[str, float]]]:
    """Figures of identity and of tracking, by what was used."""
    import torch
    from mmengine.runner import Runner
    from rich.progress import track

    from fairmot_mm.apis import init_model
    from fairmot_mm.evaluation import EmbeddingMetric, MOTMetric
    from fairmot_mm.formats.video_file import read_frame

    # First, as it gives the registries their scope.
    model = init_model(cfg, checkpoint, trust_checkpoint=trusted)
    torch.manual_seed(seed)
    untrained = init_model(cfg)
    loader = Runner.build_dataloader(cfg.test_dataloader, seed=seed)
    trackers = {
        "with embeddings": (model.tracker, True),
        "without embeddings": (copy.deepcopy(model.tracker), False),
    }
    model.tracker = several = InSeveralWays(trackers)

    names = ("network", "untrained network", "colour histograms")
    embedding: dict[str, BaseMetric] = {name: EmbeddingMetric() for name in names}
    tracking: dict[str, BaseMetric] = {
        name: MOTMetric(backends=["trackeval"]) for name in trackers
    }
    with torch.inference_mode(), running():
        for data in track(loader, "frames"):
            plain = copy.deepcopy(data["data_samples"])
            (sample,) = model.test_step(data)
            results = [sample.to_dict()]
            embedding["network"].process(data, results)
            (frame,) = sample.video_data_samples
            for name, metric in tracking.items():
                frame.pred_track_instances = several.found[name]
                metric.process(data, [sample.to_dict()])
            truth = frame.get("gt_instances", {})
            if "bboxes" in truth:
                image = read_frame(frame.img_path, frame.get("frame_index"))
                histograms = colour_histograms(image, truth.bboxes.numpy(force=True))
                truth.embeddings = torch.from_numpy(histograms).to(truth.bboxes)
                embedding["colour histograms"].process(data, results)
            (sample,) = untrained.test_step(data | dict(data_samples=plain))
            embedding["untrained network"].process(data, [sample.to_dict()])
        return {
            kind: {
                name: {
                    key.split("/")[1]: value
                    for key, value in metric.evaluate(len(loader)).items()
                }
                for name, metric in metrics.items()
            }
            for kind, metrics in dict(identity=embedding, tracking=tracking).items()
        }


def print_table(
    title: str, figures: Mapping[str, Mapping[str, float]], keys: list[str]
) -> None:
    """Print a row per figure, as there are many; fractions in percent."""
    from rich.console import Console
    from rich.table import Table

    table = Table("", *figures, title=title)
    for key in keys:
        cells = (
            f"{found[key]:.0f}" if key == "IDSW" else f"{100 * found[key]:.1f}"
            for found in figures.values()
        )
        table.add_row(key, *cells)
    Console().print(table)


def make_parser() -> Parser:
    """Describe the command line."""
    parser = Parser(__doc__)
    parser.add_config()
    parser.add_argument("checkpoint", help="checkpoint file")
    add_trust_option(parser)
    parser.add_argument(
        "--seed", type=int, default=317, help="of the untrained network's weights"
    )
    parser.add_argument("--out", type=Path, help="JSON file for the figures")
    return parser


@command(make_parser)
def main(args: argparse.Namespace) -> None:
    """Print the tables and write the figures."""
    cfg = open_config(args)
    cfg.test_dataloader.dataset.with_ground_truth = True
    figures = compare(cfg, args.checkpoint, args.seed, args.trust_checkpoint)
    identity = figures["identity"]
    if not identity["network"]:
        raise ValueError(
            f"{cfg.test_dataloader.dataset.data_root}: no ground truth to compare with"
        )
    keys = [key for key in identity["network"] if not key.startswith("mAP")]
    print_table("Identity (%)", identity, keys)
    print_table("Tracking (%, switches)", figures["tracking"], list(TRACKING))
    if args.out is not None:
        args.out.parent.mkdir(parents=True, exist_ok=True)
        args.out.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
