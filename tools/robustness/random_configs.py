"""Build models of randomly combined components and run a training and a tracking step.

Components are ours and MMDetection's. Most configs are broken in one place: such a
model must either work or be refused by an error that names the key or component.
"""

import argparse
import copy
import json
import logging
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from mmdet.structures import DetDataSample, TrackDataSample
from mmengine.config import ConfigDict
from mmengine.logging import MMLogger
from mmengine.registry import init_default_scope
from mmengine.structures import InstanceData
from rich.console import Console
from rich.progress import track
from rich.table import Table

from fairmot_mm.registry import MODELS

HEIGHT, WIDTH, NUM_IDS = 64, 96, 4
# Breaks a config in place; returns the words of which an error must say one.
Break = Callable[[dict, np.random.Generator], tuple[str, ...]]


def main() -> None:
    """Try configs and print how many ran, were refused and failed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, help="file for the counts, as JSON")
    args = parser.parse_args()
    counts = run(args.count, args.seed)
    table = Table(title=f"{args.count} random configs, seed {args.seed}")
    table.add_column("broken by")
    for outcome in ("ran", "refused", "failed"):
        table.add_column(outcome, justify="right")
    for name, count in sorted(counts.items()):
        table.add_row(name, *(str(count[key]) for key in ("ran", "refused", "failed")))
    Console().print(table)
    if args.out is not None:
        args.out.write_text(json.dumps(counts, indent=1))
    sys.exit(any(count["failed"] for count in counts.values()))


def run(count: int, seed: int) -> dict[str, Counter[str]]:
    """Outcomes of ``count`` configs by what is broken; failures are printed."""
    MMLogger.get_current_instance().setLevel(logging.ERROR)
    init_default_scope("fairmot_mm")
    counts: dict[str, Counter[str]] = {}
    for number in track(range(count), "configs", disable=not sys.stderr.isatty()):
        rng = np.random.default_rng((seed, number))
        torch.manual_seed(number)
        name, outcome = try_config(number, rng)
        counts.setdefault(name, Counter(ran=0, refused=0, failed=0))[outcome] += 1
    return counts


def try_config(number: int, rng: np.random.Generator) -> tuple[str, str]:
    """What is broken in a random config, and how trying it ended."""
    cfg = random_config(rng)
    name, words = "nothing", tuple[str, ...]()
    if rng.random() < 0.6:
        name = str(rng.choice(list(BREAKS)))
        words = BREAKS[name](cfg, rng)
    try:
        step(cfg)
    except Exception as error:
        text = f"{type(error).__name__}: {error}"
        if words and any(word in text for word in words):
            return name, "refused"
        missing = f"expected one of {words}" if words else "nothing is broken"
        print(f"{number}, {name}: {missing}\n{text}\n{cfg}\n", file=sys.stderr)
        return name, "failed"
    return name, "ran"


def random_config(rng: np.random.Generator) -> dict:
    """A sound config of a model with some identities."""
    backbone, channels = _BACKBONES[rng.integers(len(_BACKBONES))](rng)
    heads = dict(in_channels=channels, feat_channels=int(rng.choice([16, 64])))
    num_ids = NUM_IDS if rng.random() < 0.8 else [NUM_IDS]
    losses = ("mmdet.GaussianFocalLoss", "mmdet.L1Loss", "mmdet.SmoothL1Loss")
    cfg = dict(
        type="FairMOT",
        data_preprocessor=dict(
            type="mmdet.TrackDataPreprocessor", use_det_processor=True
        ),
        **backbone,
        bbox_head=dict(
            type="FairMOTHead",
            ltrb=bool(rng.random() < 0.7),
            loss_size=dict(type=str(rng.choice(losses[1:])), loss_weight=0.1),
            **heads,
        ),
        reid_head=dict(
            type="EmbeddingHead",
            num_ids=num_ids,
            embed_dims=int(rng.choice([8, 64, 128])),
            loss=str(rng.choice(["ce", "focal"])),
            **heads,
        ),
        task_weighting=dict(
            type=str(rng.choice(["UncertaintyWeighting", "FixedWeighting"]))
        ),
        tracker=_TRACKERS[rng.integers(len(_TRACKERS))](rng),
    )
    return copy.deepcopy(cfg)


def _dla(rng: np.random.Generator) -> tuple[dict, int]:
    neck = dict(type="DLANeck", use_dcn=bool(rng.random() < 0.5))
    return dict(backbone=dict(type="DLANet", depth=34), neck=neck), 64


def _resnet(rng: np.random.Generator) -> tuple[dict, int]:
    depth = int(rng.choice([18, 34, 50]))
    channels = 512 if depth < 50 else 2048
    kind = rng.integers(3)
    if kind == 0:
        neck = dict(type="DeconvNeck", in_channels=channels)
        return dict(backbone=dict(type="mmdet.ResNet", depth=depth), neck=neck), 64
    if kind == 1:
        backbone = dict(type="mmdet.ResNet", depth=18)
        return dict(backbone=backbone, neck=dict(type="DeconvFPNNeck")), 64
    neck = dict(
        type="mmdet.CTResNetNeck",
        in_channels=channels,
        num_deconv_filters=(64, 32, 16),
        num_deconv_kernels=(4, 4, 4),
        use_dcn=False,
    )
    backbone = dict(type="mmdet.ResNet", depth=depth, out_indices=(3,))
    return dict(backbone=backbone, neck=neck), 16


def _darknet(rng: np.random.Generator) -> tuple[dict, int]:
    backbone = dict(
        type="mmdet.CSPDarknet",
        deepen_factor=0.33,
        widen_factor=0.25,
        out_indices=(1, 2, 3, 4),
    )
    neck = dict(type="CSPNeck", in_channels=(32, 64, 128, 256))
    return dict(backbone=backbone, neck=neck), 32


def _mobilenet(rng: np.random.Generator) -> tuple[dict, int]:
    backbone = dict(type="mmdet.MobileNetV2", out_indices=(1, 2, 4, 6))
    neck = dict(type="ConcatNeck", in_channels=(24, 32, 96, 320))
    return dict(backbone=backbone, neck=neck), 472


_BACKBONES = (_dla, _resnet, _darknet, _mobilenet)


def _jde_tracker(rng: np.random.Generator) -> dict:
    cfg: dict = dict(type="JDETracker", obj_score_thr=0.05)
    if rng.random() < 0.3:
        cfg["low_score_thr"] = 0.01
    if rng.random() < 0.3:
        cfg["camera_motion"] = dict(type="SparseFlowMotion")
    if rng.random() < 0.3:
        cfg["noise_by_score"] = True
    return cfg


def _byte_tracker(rng: np.random.Generator) -> dict:
    return dict(
        type="mmdet.ByteTracker",
        motion=dict(type="mmdet.KalmanFilter"),
        obj_score_thrs=dict(high=0.02, low=0.01),
        init_track_thr=0.03,
        match_iou_thrs=dict(high=0.1, low=0.5, tentative=0.3),
    )


def _oc_sort_tracker(rng: np.random.Generator) -> dict:
    return dict(
        type="mmdet.OCSORTTracker",
        motion=dict(type="mmdet.KalmanFilter"),
        obj_score_thr=0.05,
        init_track_thr=0.05,
        match_iou_thr=0.3,
        reid=None,
    )


_TRACKERS = (_jde_tracker, _jde_tracker, _byte_tracker, _oc_sort_tracker)


def step(cfg: dict) -> None:
    """Build a model, take a training step and track two frames.

    Raises:
        ArithmeticError: The loss or the gradients are not finite.
    """
    model = MODELS.build(ConfigDict(cfg))
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-6)
    losses = model(torch.rand(2, 3, HEIGHT, WIDTH), [_sample(), _sample()], mode="loss")
    losses["loss"].backward()
    optimizer.step()
    gradients = [p.grad for p in model.parameters() if p.grad is not None]
    if not gradients or not all(value.isfinite().all() for value in gradients):
        raise ArithmeticError("gradients are not finite")
    model.eval()
    for frame in range(2):
        video, sample = TrackDataSample(), _sample()
        sample.set_metainfo(dict(frame_id=frame))
        video.video_data_samples = [sample]
        with torch.no_grad():
            model(torch.rand(1, 1, 3, HEIGHT, WIDTH), [video], mode="predict")


def _sample() -> DetDataSample:
    shape = (HEIGHT, WIDTH)
    metas = dict(ori_shape=shape, img_shape=shape, batch_input_shape=shape)
    sample = DetDataSample(metainfo=metas)
    sample.gt_instances = InstanceData(
        bboxes=torch.tensor([[8.0, 8, 30, 60], [50, 10, 70, 50]]),
        labels=torch.zeros(2).long(),
        instances_ids=torch.tensor([0, NUM_IDS - 1]),
    )
    return sample


_PARTS = ("backbone", "neck", "bbox_head", "reid_head", "task_weighting", "tracker")


def _part(rng: np.random.Generator) -> str:
    return str(rng.choice(_PARTS))


def _unknown_key(cfg: dict, rng: np.random.Generator) -> tuple[str, ...]:
    cfg[_part(rng)]["colour"] = 1
    return ("colour",)


def _unknown_type(cfg: dict, rng: np.random.Generator) -> tuple[str, ...]:
    cfg[_part(rng)]["type"] = "NoSuchThing"
    return ("NoSuchThing",)


def _missing_part(cfg: dict, rng: np.random.Generator) -> tuple[str, ...]:
    part = _part(rng)
    del cfg[part]
    return (part,)


def _missing_type(cfg: dict, rng: np.random.Generator) -> tuple[str, ...]:
    part = _part(rng)
    del cfg[part]["type"]
    return ("type", part)


def _channels(cfg: dict, rng: np.random.Generator) -> tuple[str, ...]:
    part = str(rng.choice(["bbox_head", "reid_head"]))
    cfg[part]["in_channels"] = 7
    return ("in_channels",)


def _neck_channels(cfg: dict, rng: np.random.Generator) -> tuple[str, ...]:
    channels = cfg["neck"].get("in_channels", (16, 32, 64, 128, 256, 512))
    wrong = 40 if isinstance(channels, int) else tuple(c + 8 for c in channels)
    cfg["neck"]["in_channels"] = wrong
    return ("in_channels",)


def _maps(cfg: dict, rng: np.random.Generator) -> tuple[str, ...]:
    cfg["backbone"]["out_indices"] = (2, 3)
    return ("out_indices", "in_channels")


def _wrong_value(cfg: dict, rng: np.random.Generator) -> tuple[str, ...]:
    part, key, value = _WRONG_VALUES[rng.integers(len(_WRONG_VALUES))]
    cfg[part][key] = value
    return (key, cfg[part]["type"].rpartition(".")[2])


_WRONG_VALUES = (
    ("bbox_head", "in_channels", "many"),
    ("bbox_head", "num_classes", 0),
    ("bbox_head", "feat_channels", -1),
    ("bbox_head", "loss_size", dict(type="mmdet.L1Loss", weight=1)),
    ("reid_head", "num_ids", -3),
    ("reid_head", "num_ids", "some"),
    ("reid_head", "loss", "triplet"),
    ("reid_head", "embed_dims", 0),
    ("tracker", "obj_score_thr", None),
    ("backbone", "depth", 35),
)


def _other_head(cfg: dict, rng: np.random.Generator) -> tuple[str, ...]:
    cfg["bbox_head"] = dict(
        type="mmdet.CenterNetHead",
        num_classes=1,
        in_channels=cfg["bbox_head"]["in_channels"],
        feat_channels=64,
    )
    return ("CenterNetHead",)


def _no_head(cfg: dict, rng: np.random.Generator) -> tuple[str, ...]:
    part = str(rng.choice(["bbox_head", "reid_head", "tracker"]))
    cfg[part] = dict(type="mmdet.L1Loss")
    return ("L1Loss",)


def _identities(cfg: dict, rng: np.random.Generator) -> tuple[str, ...]:
    cfg["reid_head"]["num_ids"] = NUM_IDS - 2
    return ("num_ids",)


BREAKS: dict[str, Break] = {
    "another detection head": _other_head,
    "channels of a head": _channels,
    "channels of the neck": _neck_channels,
    "component of another kind": _no_head,
    "fewer identities than in the data": _identities,
    "missing component": _missing_part,
    "missing type": _missing_type,
    "number of maps": _maps,
    "unknown key": _unknown_key,
    "unknown type": _unknown_type,
    "wrong value": _wrong_value,
}


if __name__ == "__main__":
    main()
