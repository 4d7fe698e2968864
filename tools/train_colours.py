r"""Train what a network knows of people's clothes, the rest of it untouched.

    python tools/train_colours.py small_data/fairmot_yolov5s_576x320 CHECKPOINT \
        --data data/real --out CHECKPOINT_WITH_COLOURS

The colours of a ColourEmbeddingHead need nothing of the network but the image, so they
are trained alone, at the true boxes of MOTChallenge folders, in minutes without a GPU:
on one's own annotated frames, for the clothes and the light there. They start anew.
"""

from __future__ import annotations

import argparse
import itertools
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

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
    from torch import Tensor, nn
    from torch.utils.data import DataLoader

    from fairmot_mm.models import ColourEmbeddingHead

RATE = 2e-3
SIGMA = 0.03  # of a colour at the start
SAMPLES = 24  # batches whose pixels are looked at
PIXELS = 20_000  # of these
PARTS = ("reid_head.colours.", "reid_head.description.")


def make_parser() -> Parser:
    """Describe the command line."""
    parser = Parser(__doc__)
    parser.add_config()
    parser.add_argument("checkpoint", help="whose colours are replaced")
    parser.add_argument("--out", type=Path, required=True, help="checkpoint to write")
    parser.add_argument(
        "--data", type=Path, required=True, help="folder of MOTChallenge sequences"
    )
    parser.add_argument(
        "--leave-out",
        nargs="+",
        default=[],
        metavar="SEQUENCE",
        help="sequences not to learn from, to be measured on",
    )
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument(
        "--batch-size", type=int, default=6, help="images, an even number"
    )
    parser.add_argument("--seed", type=int, default=317)
    add_trust_option(parser)
    return parser


def make_loader(cfg: Config, args: argparse.Namespace, train: bool) -> DataLoader:
    """Pairs of frames to learn from, or all frames of the sequences left out."""
    from mmengine.runner import Runner

    from fairmot_mm.formats.mot import find_sequences

    names = [sequence.name for sequence in find_sequences(args.data)]
    if unknown := sorted(set(args.leave_out) - set(names)):
        raise ValueError(
            f"--leave-out {unknown[0]}: {args.data} has {', '.join(names)}"
        )
    dataset = dict(
        type="MOTFrameDataset",
        data_root=str(args.data),
        sequences=[name for name in names if (name in args.leave_out) != train],
        input_size=cfg.test_dataloader.dataset.input_size,
        pipeline=[
            dict(type="CheckedLoadImageFromFile"),
            dict(type="Letterbox"),
            dict(type="PackTrackTrainInputs"),
        ],
    )
    everything = dict(type="DefaultSampler", shuffle=False)
    settings = dict(
        batch_size=args.batch_size,
        num_workers=1,
        persistent_workers=True,
        drop_last=train,
        sampler=dict(type="FramePairSampler") if train else everything,
        dataset=dataset,
    )
    return Runner.build_dataloader(settings, seed=args.seed)


def make_head(cfg: Config) -> ColourEmbeddingHead:
    """A new head, as the config describes it."""
    from fairmot_mm.models import ColourEmbeddingHead
    from fairmot_mm.registry import MODELS

    head = MODELS.build(cfg.model.reid_head)
    if not isinstance(head, ColourEmbeddingHead):
        raise ValueError(
            f"model.reid_head is {type(head).__name__}: only ColourEmbeddingHead has "
            "colours to train"
        )
    return head


def train_colours(
    head: ColourEmbeddingHead, loader: DataLoader, preprocessor: nn.Module, steps: int
) -> None:
    """Train the colours by the contrastive loss that the head has for them."""
    import torch
    from rich.progress import track

    parameters = [*head.colours.parameters(), *head.description.parameters()]
    optimizer = torch.optim.Adam(parameters, lr=RATE)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    batches = _endless(loader)
    head.place_colours(find_colours(head, batches, preprocessor), SIGMA)
    for step in track(range(1, steps + 1), "steps"):
        data = preprocessor(next(batches), training=True)
        samples = data["data_samples"]
        unit = head.embed_colours(data["inputs"], *boxes_of(samples))
        who = torch.cat([sample.gt_instances.instances_ids for sample in samples])
        loss = head.contrast(unit, who)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        if step % 50 == 0 or step == steps:
            print(f"step {step}: loss {loss.item():.3f}")


def find_colours(
    head: ColourEmbeddingHead, batches: Iterator[dict], preprocessor: nn.Module
) -> Tensor:
    """The colours (K, 3) that people wear, by k-means of the pixels in their boxes.

    Where many wear black there are many blacks, unlike in the grid that the head has.
    """
    import torch
    from sklearn.cluster import KMeans

    found = []
    for data in itertools.islice(batches, SAMPLES):
        data = preprocessor(data, training=True)
        image, boxes = boxes_of(data["data_samples"])
        pixels = head.pixels_in_boxes(data["inputs"], image, boxes)
        # The middle half: people stand there.
        found.append(pixels[..., 2:6].movedim(1, -1).reshape(-1, 3))
    # As many of each batch, so that crowds do not outweigh others.
    few = min(map(len, found))
    some = torch.cat([x[torch.randperm(len(x))[:few]] for x in found])
    some = some[torch.randperm(len(some))[:PIXELS]]
    count = head.colours.out_features
    means = KMeans(count, n_init=1, random_state=0).fit(some.numpy())
    return torch.from_numpy(means.cluster_centers_)


def boxes_of(samples: Sequence[DetDataSample]) -> tuple[Tensor, Tensor]:
    """Image (M,) and boxes (M, 4) of the people of all images."""
    import torch

    people = [sample.gt_instances for sample in samples]
    image = torch.repeat_interleave(torch.tensor([len(x) for x in people]))
    return image, torch.cat([x.bboxes for x in people])


def measure(
    head: ColourEmbeddingHead, loader: DataLoader, preprocessor: nn.Module
) -> None:
    """Log the figures of the colours alone, at the true boxes."""
    import torch
    from rich.progress import track

    from fairmot_mm.evaluation import EmbeddingMetric
    from fairmot_mm.evaluation.frame_metric import to_arrays

    head.eval()
    frames = []
    with torch.inference_mode():
        for batch in track(loader, "frames left out"):
            data = preprocessor(batch, training=True)  # single frames, as in training
            samples = data["data_samples"]
            unit = head.embed_colours(data["inputs"], *boxes_of(samples))
            parts = unit.split([len(sample.gt_instances) for sample in samples])
            for sample, embeddings in zip(samples, parts, strict=True):
                people, path = sample.gt_instances, Path(sample.img_path)
                people.embeddings = embeddings
                arrays = to_arrays(people, "embeddings", "instances_ids", "labels")
                video = str(path.parent), (1, len(loader))
                frames.append((video, int(path.stem), arrays))
    EmbeddingMetric().compute_metrics(frames)


def _endless(loader: DataLoader) -> Iterator[dict]:
    from fairmot_mm.datasets import FramePairSampler

    assert isinstance(loader.sampler, FramePairSampler)
    for epoch in itertools.count():
        loader.sampler.set_epoch(epoch)
        yield from loader


@command(make_parser)
def main(args: argparse.Namespace) -> None:
    """Train the colours and write the checkpoint that has them."""
    if args.steps < 1:
        raise ValueError(f"--steps {args.steps}: expected at least 1")
    if args.batch_size < 2 or args.batch_size % 2:
        raise ValueError(f"--batch-size {args.batch_size}: expected an even number")
    from mmengine.registry import init_default_scope
    from mmengine.runner import set_random_seed

    from fairmot_mm.checkpoints.files import read_checkpoint, write_checkpoint
    from fairmot_mm.checkpoints.loading import unwrap_checkpoint
    from fairmot_mm.registry import MODELS

    cfg = open_config(args)
    init_default_scope(cfg.get("default_scope", "fairmot_mm"))
    checkpoint = read_checkpoint(args.checkpoint, args.trust_checkpoint)
    set_random_seed(args.seed)
    head, loader = make_head(cfg), make_loader(cfg, args, train=True)
    others = make_loader(cfg, args, train=False) if args.leave_out else None
    preprocessor = MODELS.build(cfg.model.data_preprocessor)
    with running():
        train_colours(head, loader, preprocessor, args.steps)
        if others is not None:
            measure(head, others, preprocessor)
    state = unwrap_checkpoint(checkpoint)
    trained = {f"reid_head.{name}": x for name, x in head.state_dict().items()}
    state |= {name: x for name, x in trained.items() if name.startswith(PARTS)}
    write_checkpoint(dict(state_dict=state, meta=checkpoint.get("meta", {})), args.out)
    print(args.out)


if __name__ == "__main__":
    sys.exit(main())
