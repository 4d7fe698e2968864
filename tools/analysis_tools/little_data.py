r"""What each part of the recipe for little data is worth, from scratch.

    python tools/analysis_tools/little_data.py work_dirs/little_data --data data/real

Trains the published recipe of the light network, then adds the parts of
small_data/fairmot_yolov5s_576x320 one after another, and changes the whole recipe in
single ways, every row from scratch with the same seed, steps and input size. One
sequence is kept out of training to choose the score threshold (best IDF1), another one
to report on; with --halves the network learns the first half of every sequence and is
scored on second halves. Writes a table, its figures and curves; what has been trained
is not trained again, so a stopped run continues.
docs/training-on-little-data.md says what came out.
"""

from __future__ import annotations

import argparse
import dataclasses
import itertools
import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from identity_value import InSeveralWays

from fairmot_mm.utils.command_line import Parser, command, running
from fairmot_mm.utils.paths import CONFIGS, TOOLS

if TYPE_CHECKING:  # so that --help need not wait for MMEngine
    from mmengine.config import Config, ConfigDict

Way = tuple[float, bool]  # threshold of the scores, with embeddings or without

PUBLISHED = CONFIGS / "fairmot_yolov5s_mot17.py"
RECIPE = CONFIGS / "small_data" / "fairmot_yolov5s_576x320.py"
# How often an epoch sees each sequence.
SEQUENCES = {
    "MOT17-02": 1,
    "MOT17-09": 1,
    "PETS09-S2L1": 1,
    "ETH-Sunnyday": 2,
    "TUD-Stadtmitte": 2,
}
# Each of the first rows has the parts of those before it; `stills` is the whole recipe,
# and the others differ from it in one thing.
ROWS = {
    "published": "the published recipe",
    "ema": "+ mean of the weights (EMA)",
    "schedule": "+ twice the rate, warm-up, cosine, clipped gradients",
    "scale": "+ people up to twice as large, shifted further",
    "iou": "+ IoU in the loss of box sizes",
    "colours": "+ embedding of the colours in the box",
    "stills": "+ stills and COCO: the whole recipe",
    "synthetic": "recipe, a third of the steps on synthetic people first",
    "backgrounds": "recipe, the same, but before real backgrounds and other cameras",
    "mixed": "recipe + these among the other images",
    "mosaic": "recipe + mosaic in half of the images",
    "pairs": "recipe, images in pairs of one sequence",
    "photometric": "recipe, photometric distortion instead of saturation and value",
    "multiscale": "recipe, input size drawn anew every ten steps",
    "rate": "recipe, half the rate",
    "l1": "recipe, L1 loss of sizes",
    "identity": "recipe, identity loss ten times as heavy",
    "smoothing": "recipe, smoothed labels of the identities",
    "focal": "recipe, focal loss of the identities",
    "triplet": "recipe + triplet loss of the centre's embeddings",
}
PARTS = ("ema", "schedule", "scale", "iou", "colours", "stills")
# Rows that change the recipe by an option.
OPTIONS: dict[str, dict[str, Any]] = {
    "pairs": {"train_dataloader.sampler": dict(_delete_=True, type="FramePairSampler")},
    "rate": {"optim_wrapper.optimizer.lr": 5e-4},
    "l1": {
        "model.bbox_head.loss_size": dict(
            _delete_=True, type="mmdet.L1Loss", loss_weight=0.5
        )
    },
    "identity": {"model.task_weighting.id_weight": 1.0},
    "smoothing": {"model.reid_head.label_smoothing": 0.1},
    "focal": {"model.reid_head.loss": "focal"},
    "triplet": {"model.reid_head.loss_triplet": dict(type="mmdet.TripletLoss")},
}
THRESHOLDS = (0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.5)
FEWEST = 45  # steps: three of warm-up, and a third of all for synthetic people
# What all rows of a folder have in common.
SETTINGS = (
    "data",
    "steps",
    "width",
    "batch_size",
    "size",
    "choose",
    "report",
    "halves",
)
SYNTHETIC_FIRST = ("synthetic", "backgrounds")
RENDERED: dict[str, Any] = dict(
    train_sequences=40,
    test_sequences=0,
    num_frames=15,
    num_people=8,
    size=(512, 288),
    seed=0,
)
TRACKING = ("HOTA", "MOTA", "IDF1")
PANELS = {
    "heatmap": "loss of the heatmap",
    "id": "loss of the identities",
    "rate": "learning rate",
}
IDENTITY = ("TPR@FAR0.1", "TPR@FAR0.01", "rank1@10", "rank1@30", "rank1@100")


def row_config(row: str, args: argparse.Namespace, seed: int) -> Config:
    """The config that a row is trained and tracked by."""
    from mmengine.config import Config

    cfg, recipe = Config.fromfile(PUBLISHED), Config.fromfile(RECIPE)
    shorten(recipe, args.steps)
    cfg.randomness.seed = seed
    narrow(cfg.model, args.width)
    for key in ("train_dataloader", "test_dataloader", "train_cfg", "log_processor"):
        cfg[key] = recipe[key]
    cfg.train_dataloader.batch_size = args.batch_size
    cfg.test_dataloader.num_workers = 1
    cfg.default_hooks.checkpoint = recipe.default_hooks.checkpoint
    cfg.default_hooks.logger.interval = max(1, args.steps // 20)
    # The published rate falls to a tenth after two thirds of the training.
    cfg.param_scheduler = [
        dict(type="MultiStepLR", by_epoch=False, milestones=[args.steps * 2 // 3])
    ]
    parts = PARTS[: PARTS.index(row) + 1] if row in PARTS else PARTS
    parts = () if row == "published" else parts
    if "ema" in parts:
        cfg.custom_hooks = recipe.custom_hooks
    if "schedule" in parts:
        cfg.optim_wrapper.optimizer.lr = recipe.optim_wrapper.optimizer.lr
        cfg.optim_wrapper.clip_grad = recipe.optim_wrapper.clip_grad
        cfg.param_scheduler = recipe.param_scheduler
    if "scale" in parts:
        cfg.train_pipeline = recipe.train_pipeline
    if "iou" in parts:
        cfg.model.bbox_head.loss_size = recipe.model.bbox_head.loss_size
    if "colours" in parts:
        cfg.model.reid_head.type = recipe.model.reid_head.type
        cfg.optim_wrapper.paramwise_cfg = recipe.optim_wrapper.paramwise_cfg
    _set_training_data(cfg, args, stills="stills" in parts)
    change(row, cfg, args)
    cfg.test_dataloader.dataset.update(
        input_size=args.size,
        with_ground_truth=True,
        data_root=args.data,
        half="second" if args.halves else None,
    )
    return cfg


def change(row: str, cfg: Config, args: argparse.Namespace) -> None:
    """Change the whole recipe in the way of its row; other rows stay as they are."""
    if row == "mosaic":
        add_mosaic(cfg, args.size)
    elif row == "mixed":
        data = cfg.train_dataloader.dataset
        data.datasets.append(_synthetic_source(row, args))
        data.repeats.append(1)
    elif row == "photometric":
        data = cfg.train_dataloader.dataset
        data.pipeline = [
            dict(type="mmdet.PhotoMetricDistortion")
            if transform.type == "RandomSaturationValue"
            else transform
            for transform in data.pipeline
        ]
    elif row == "multiscale":
        heights = tuple(round(args.size[1] * share) for share in (0.75, 1.25))
        cfg.model.data_preprocessor.batch_augments = [
            dict(type="mmdet.BatchSyncRandomResize", random_size_range=heights)
        ]
    else:
        cfg.merge_from_dict(OPTIONS.get(row, {}))


def narrow(model: ConfigDict, share: float) -> None:
    """Leave a share of the network's channels."""
    head = round(share * model.bbox_head.in_channels)
    model.backbone.widen_factor *= share
    model.neck.in_channels = [round(share * x) for x in model.neck.in_channels]
    for part in (model.bbox_head, model.reid_head):
        part.update(in_channels=head, feat_channels=head)


def shorten(recipe: Config, steps: int) -> None:
    """Shrink what the recipe counts in steps, schedule and mean, to fewer of them."""
    share = steps / recipe.train_cfg.max_iters
    recipe.train_cfg.max_iters = steps
    for scheduler in recipe.param_scheduler:
        for key in ("begin", "end"):
            if key in scheduler:
                scheduler[key] = round(share * scheduler[key])
    (ema,) = recipe.custom_hooks
    ema.momentum /= share
    ema.gamma = max(1, round(share * ema.gamma))


def _set_training_data(cfg: Config, args: argparse.Namespace, stills: bool) -> None:
    """All that is trained on, with or without the recipe's pictures."""
    data = cfg.train_dataloader.dataset
    pictures = [*zip(data.datasets, data.repeats, strict=True)][-2:] if stills else []
    for source, _ in pictures:
        source.data_root = args.data + (
            "/stills" if "stills" in source.data_root else ""
        )
    kept = training_sequences(args)
    half = "first" if args.halves else None
    data.datasets = [
        dict(type="MOTFrameDataset", data_root=args.data, sequences=[name], half=half)
        for name in kept
    ] + [source for source, _ in pictures]
    data.repeats = [SEQUENCES[name] for name in kept] + [times for _, times in pictures]
    data.pipeline, data.input_size = cfg.train_pipeline, args.size


def training_sequences(args: argparse.Namespace) -> list[str]:
    """All sequences but those kept out; with halves, all of them."""
    kept_out = () if args.halves else (args.choose, args.report)
    return [name for name in SEQUENCES if name not in kept_out]


def _synthetic_source(row: str, args: argparse.Namespace) -> dict[str, Any]:
    root = args.out / ("synthetic" if row == "synthetic" else "backgrounds")
    return dict(type="MOTFrameDataset", data_root=str(root / "train"))


def render(row: str, args: argparse.Namespace) -> None:
    """Render the synthetic people of a row, unless they are rendered already."""
    from fairmot_mm.synthetic import make_dataset

    root = Path(_synthetic_source(row, args)["data_root"]).parent
    varied = row != "synthetic"
    backgrounds = [Path(args.data) / name for name in training_sequences(args)]
    if not root.is_dir():
        make_dataset(
            root, **RENDERED, varied=varied, backgrounds=backgrounds if varied else ()
        )


def add_mosaic(cfg: Config, size: tuple[int, int]) -> None:
    """Put four images into one, half of the time."""
    data = cfg.train_dataloader.dataset
    load, *others = data.pipeline
    data.pipeline = [load]
    cfg.train_dataloader.dataset = dict(
        type="mmdet.MultiImageMixDataset",
        dataset=data,
        pipeline=[
            dict(type="Mosaic", img_scale=size, prob=0.5),
            *(t | dict(size=size) if t.type == "Letterbox" else t for t in others),
        ],
    )


def train_row(row: str, args: argparse.Namespace, seed: int) -> tuple[Config, str]:
    """Train a row, unless it is trained already; its config and its checkpoint."""
    cfg, folder = row_config(row, args, seed), args.out / f"{row}-{seed}"
    if row in (*SYNTHETIC_FIRST, "mixed"):
        render(row, args)
    if row in SYNTHETIC_FIRST:
        before = folder.with_name(f"before-{folder.name}")
        cfg.load_from = _train_on_synthetic(row, cfg, args, before)
        cfg = _with_steps(cfg, args.steps - args.steps // 3, args.steps)
    return cfg, train(cfg, folder)


def _train_on_synthetic(
    row: str, cfg: Config, args: argparse.Namespace, folder: Path
) -> str:
    """Checkpoint of a third of the steps on sequences rendered for it."""
    cfg = _with_steps(cfg, args.steps // 3, args.steps)
    data = cfg.train_dataloader.dataset
    data.datasets, data.repeats = [_synthetic_source(row, args)], [1]
    return train(cfg, folder)


def _with_steps(cfg: Config, steps: int, whole: int) -> Config:
    """A copy whose schedule takes so many steps instead of all."""
    from mmengine.config import Config

    cfg = Config(cfg.to_dict())
    cfg.train_cfg.max_iters = whole
    shorten(cfg, steps)
    return cfg


def train(cfg: Config, folder: Path) -> str:
    """Train by ``tools/train.py``, from the newest checkpoint if there is one."""
    newest, path = folder / "last_checkpoint", folder.with_suffix(".py")
    last = f"iter_{cfg.train_cfg.max_iters}.pth"
    if not newest.is_file() or Path(newest.read_text()).name != last:
        folder.mkdir(parents=True, exist_ok=True)
        cfg.dump(path)
        tool = [sys.executable, str(TOOLS / "train.py"), str(path)]
        resume = ["--resume"] if newest.is_file() else []
        subprocess.run([*tool, "--work-dir", str(folder), *resume], check=True)
    return newest.read_text()


def track_and_score(
    cfg: Config, checkpoint: str, sequences: Sequence[str], ways: Sequence[Way]
) -> tuple[dict[str, float], dict[Way, dict[str, float]]]:
    """Track sequences in several ways in one pass of the network.

    Returns:
        Figures of detections and embeddings, and those of the tracks by threshold and
        use of the embeddings; fractions.
    """
    import torch
    from mmengine.runner import Runner

    from fairmot_mm.apis import init_model
    from fairmot_mm.evaluation import DetectionMetric, EmbeddingMetric, MOTMetric

    cfg.test_dataloader.dataset.sequences = [*sequences]
    model = init_model(cfg, checkpoint)
    model.tracker = several = InSeveralWays(
        {
            way: (dataclasses.replace(model.tracker, obj_score_thr=way[0]), way[1])
            for way in ways
        }
    )
    network = [DetectionMetric(), EmbeddingMetric()]
    tracking = {way: MOTMetric(backends=["trackeval"]) for way in ways}
    loader = Runner.build_dataloader(cfg.test_dataloader, seed=0)
    with torch.inference_mode(), running():
        for data in loader:
            (sample,) = model.test_step(data)
            for metric in network:
                metric.process(data, [sample.to_dict()])
            (frame,) = sample.video_data_samples
            for way, metric in tracking.items():
                frame.pred_track_instances = several.found[way]
                metric.process(data, [sample.to_dict()])
    figures: dict[str, float] = {}
    for metric in network:
        figures |= _plain(metric.evaluate(len(loader)))
    return figures, {
        way: _plain(metric.evaluate(len(loader))) for way, metric in tracking.items()
    }


def _plain(figures: Mapping[str, float]) -> dict[str, float]:
    """Figures without the metric's name."""
    return {key.split("/", 1)[1]: value for key, value in figures.items()}


def score_row(cfg: Config, checkpoint: str, args: argparse.Namespace) -> dict[str, Any]:
    """Choose the threshold on one sequence, and report others by it."""
    ways = [(threshold, True) for threshold in THRESHOLDS]
    network, tracks = track_and_score(cfg, checkpoint, [args.choose], ways)
    threshold = max(THRESHOLDS, key=lambda x: tracks[x, True]["IDF1"])
    chosen_on = network | tracks[threshold, True]
    ways = [(threshold, True), (threshold, False)]
    others = [name for name in SEQUENCES if name != args.choose]
    reported = others if args.halves else [args.report]
    network, tracks = track_and_score(cfg, checkpoint, reported, ways)
    return dict(
        threshold=threshold,
        chosen_on=chosen_on,
        reported=network | tracks[threshold, True],
        without_embeddings=tracks[threshold, False],
    )


def write_table(out: Path) -> str:
    """Write ``table.md`` of all rows in a folder that have figures."""
    tracking, identity = [], []
    for row, text in ROWS.items():
        for path in sorted(out.glob(f"{row}-*/figures.json")):
            found = json.loads(path.read_text())
            name = [text, path.parent.name.removeprefix(f"{row}-")]
            chosen_on, reported = found["chosen_on"], found["reported"]
            blind = found["without_embeddings"]
            tracking.append(
                [
                    *name,
                    *_percent(chosen_on, "AP50", "IDF1"),
                    f"{found['threshold']:g}",
                    *_percent(reported, "AP50", *TRACKING),
                ]
            )
            switches = [f"{way['IDSW']:.0f}" for way in (reported, blind)]
            identity.append([*name, *_percent(reported, *IDENTITY), *switches])
    chosen = ("AP50, chosen on", "IDF1, chosen on", "threshold")
    tables = (
        _markdown(["row", "seed", *chosen, "AP50", *TRACKING], tracking),
        _markdown(["row", "seed", *IDENTITY, "IDSW", "without embeddings"], identity),
    )
    text = "\n\n".join(tables)
    (out / "table.md").write_text(text + "\n", encoding="utf-8")
    return text


def _percent(figures: Mapping[str, float], *keys: str) -> list[str]:
    # There is no rank after 100 frames in a shorter sequence.
    return [f"{100 * figures[key]:.1f}" if key in figures else "-" for key in keys]


def _markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def draw_curves(out: Path) -> None:
    """Draw the losses of the rows that have figures into ``curves.png``."""
    from matplotlib import colormaps
    from matplotlib.figure import Figure

    from fairmot_mm.visualization.training_curves import read_training

    figure = Figure(figsize=(14, 4), layout="constrained")
    panels = {name: figure.add_subplot(1, 3, i) for i, name in enumerate(PANELS, 1)}
    colours = colormaps["tab20"](range(20))
    # Those without figures may be in training.
    done = [
        figures.parent
        for row in ROWS
        for figures in sorted(out.glob(f"{row}-*/figures.json"))
    ]
    for folder, colour in zip(done, itertools.cycle(colours)):
        log = read_training(folder)
        for name, axes in panels.items():
            steps, values = log.rate if name == "rate" else log.losses[name]
            axes.plot(steps, values, label=folder.name, color=colour)
    for name, axes in panels.items():
        axes.set(title=PANELS[name], xlabel="step", yscale="log")
        axes.grid(alpha=0.3)
    handles, labels = panels["heatmap"].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside right center", fontsize="small")
    figure.savefig(out / "curves.png", dpi=100)


def make_parser() -> Parser:
    """Describe the command line."""
    parser = Parser(__doc__)
    parser.add_argument("out", type=Path, help="folder of the trainings and the table")
    parser.add_argument(
        "--data", default="data/real", help="folder of the sequences, stills/ and coco/"
    )
    parser.add_argument(
        "--rows",
        nargs="+",
        choices=ROWS,
        default=[*ROWS],
        metavar="ROW",
        help=f"of {', '.join(ROWS)}; all by default",
    )
    parser.add_argument("--seeds", nargs="+", type=int, default=[317], metavar="SEED")
    parser.add_argument("--steps", type=int, default=1500, help="of each row")
    parser.add_argument(
        "--width", type=float, default=1, help="share of the network's channels"
    )
    parser.add_argument("--batch-size", type=int, default=8, help="images a step")
    parser.add_argument(
        "--size", default="576x320", metavar="WIDTHxHEIGHT", help="of the network input"
    )
    parser.add_argument(
        "--choose",
        choices=SEQUENCES,
        default="ETH-Sunnyday",
        help="sequence to choose the threshold on",
    )
    parser.add_argument(
        "--report",
        choices=SEQUENCES,
        default="TUD-Stadtmitte",
        help="sequence to report on",
    )
    parser.add_argument(
        "--halves",
        action="store_true",
        help="train on the first half of each sequence, choose on the second half of "
        "--choose and report on those of all others",
    )
    return parser


def _keep_settings(args: argparse.Namespace) -> None:
    """Check that earlier rows in the folder were measured in the same way."""
    settings = {name: getattr(args, name) for name in SETTINGS}
    path = args.out / "settings.json"
    if path.is_file():
        for name, before in json.loads(path.read_text()).items():
            if settings[name] != before:
                raise ValueError(
                    f"{path}: the rows in this folder are of {name}={before!r}, not "
                    f"{settings[name]!r}; give another folder"
                )
    path.write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")


@command(make_parser)
def main(args: argparse.Namespace) -> None:
    """Train, score and write row after row."""
    if args.choose == args.report and not args.halves:
        raise ValueError(
            f"--choose and --report are both {args.report}: a threshold chosen on the "
            "reported sequence says nothing of others"
        )
    if args.steps < FEWEST:
        raise ValueError(f"--steps {args.steps}: expected at least {FEWEST}")
    from fairmot_mm.deployment.exporting import check_size, parse_size
    from fairmot_mm.formats.mot import find_sequences

    find_sequences(Path(args.data), [*SEQUENCES])  # says what is missing
    size = parse_size(args.size)
    check_size(size)
    args.out.mkdir(parents=True, exist_ok=True)
    _keep_settings(args)
    args.size = size
    for seed in args.seeds:
        for row in args.rows:
            figures = args.out / f"{row}-{seed}" / "figures.json"
            if not figures.is_file():
                cfg, checkpoint = train_row(row, args, seed)
                found = score_row(cfg, checkpoint, args)
                figures.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
            draw_curves(args.out)
            print(write_table(args.out), flush=True)


if __name__ == "__main__":
    sys.exit(main())
