"""The measurements of benchmark.py, one function each."""

import copy
import os
import platform
import statistics
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import cv2
import numpy as np
import torch
from mmdet.structures import DetDataSample
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.structures import InstanceData
from reference_impl import (
    Module,
    TrackByTrack,
    training_image,
    training_loss,
    use_torchvision,
)
from rich.console import Console
from rich.table import Table
from torch import Tensor
from torch.nn import functional as F

from fairmot_mm.apis import init_model, track_video
from fairmot_mm.formats.images import read_image
from fairmot_mm.models import DCNv2, FairMOT, JDETracker
from fairmot_mm.models.losses.chunked_cross_entropy import chunked_cross_entropy
from fairmot_mm.registry import DATASETS, MODELS
from fairmot_mm.streams import VideoWriter
from fairmot_mm.synthetic import make_sequence

CONFIG = Path(__file__).parents[2] / "configs/fairmot_dla34_mot17.py"
META = dict(ori_shape=(1080, 1920))


class Report:
    """Collects and shows times of the plugin and the reference implementation."""

    def __init__(self, runs: int, device: torch.device) -> None:
        self.runs, self.device = runs, device
        self.rows: list[dict] = []

    def milliseconds(self, work: Callable[[], object]) -> float:
        """Median time of some runs, after one to warm up."""
        times = []
        for _ in range(self.runs + 1):
            if self.device.type == "cuda":
                start, stop = (torch.cuda.Event(enable_timing=True) for _ in range(2))
                start.record()
                work()
                stop.record()
                torch.cuda.synchronize()
                times.append(start.elapsed_time(stop))
            else:
                begin = time.perf_counter()
                work()
                times.append(1e3 * (time.perf_counter() - begin))
        return statistics.median(times[1:])

    def add(self, what: str, ours: float, reference: float | None = None) -> None:
        """Add a row; times in milliseconds."""
        ratio = reference / ours if reference is not None else None
        self.rows.append(dict(what=what, reference=reference, ours=ours, ratio=ratio))
        text = f"{what}: {ours:.2f} ms"
        print(text if ratio is None else f"{text}, reference {reference:.2f} ms")

    def compare(
        self, what: str, ours: Callable[[], object], reference: Callable[[], object]
    ) -> None:
        """Time both and add a row."""
        self.add(what, self.milliseconds(ours), self.milliseconds(reference))

    def show(self) -> None:
        """Print all rows as one table."""
        table = Table("what", "reference, ms", "ours, ms", "ratio")
        for row in self.rows:
            numbers = (row["reference"], row["ours"], row["ratio"])
            cells = ["" if n is None else f"{n:.4g}" for n in numbers]
            table.add_row(row["what"], *cells)
        Console(width=100).print(table)


def deform_conv(report: Report) -> None:
    """One deformable convolution, 64 to 64 channels."""
    torch.manual_seed(0)
    layer = _spread_offsets(DCNv2(64, 64, 3, padding=1)).to(report.device)
    reference = use_torchvision(copy.deepcopy(layer))
    plain = torch.nn.Conv2d(64, 64, 3, padding=1).to(report.device)
    x = torch.rand(1, 64, 152, 272, device=report.device)
    with torch.inference_mode():
        report.compare("deformable convolution", lambda: layer(x), lambda: reference(x))
        report.add("  a plain convolution", report.milliseconds(lambda: plain(x)))
    x.requires_grad_()
    report.compare(
        "  forward and backward",
        lambda: layer(x).sum().backward(),
        lambda: reference(x).sum().backward(),
    )


def network(report: Report) -> None:
    """A frame of 1088x608 through the network, decoding included."""
    cfg = Config.fromfile(CONFIG).model
    model = _build(cfg, report.device).eval()
    x = torch.rand(1, 3, 608, 1088, device=report.device)
    reference = use_torchvision(copy.deepcopy(model))
    cfg.neck.use_dcn = False
    networks = {"float32": torch.float32, "bfloat16": torch.bfloat16}
    with torch.inference_mode():
        base = report.milliseconds(lambda: reference(x, mode="tensor"))
        as_built = report.milliseconds(lambda: model.predict_frame(x, META))
        report.add("network 1088x608, as built", as_built, base)
        for name, dtype in networks.items():
            fast = copy.deepcopy(model).optimize_for_inference(dtype)
            ours = report.milliseconds(lambda: fast.predict_frame(x, META))  # noqa: B023
            report.add(f"  optimised, {name}", ours, base)
            plain = _build(cfg, report.device).optimize_for_inference(dtype)
            bound = report.milliseconds(lambda: plain.predict_frame(x, META))  # noqa: B023
            report.add(f"  with plain convolutions, {name}", bound, base)


def training(report: Report) -> None:
    """A training step, forward and backward, of two images of 288x160."""
    cfg = Config.fromfile(CONFIG).model
    cfg.reid_head.num_ids = 546
    model = _build(cfg, report.device).train()
    reference = use_torchvision(copy.deepcopy(model))
    x = torch.rand(2, 3, 160, 288, device=report.device)
    samples = [_objects(20, (160, 288), report.device) for _ in range(2)]

    def ours() -> None:
        model(x, samples, mode="loss")["loss"].backward()

    report.compare(
        "training step 2 x 288x160",
        ours,
        lambda: training_loss(reference, x, samples).backward(),
    )
    if report.device.type == "cpu":
        with torch.autocast("cpu", torch.bfloat16):
            half = report.milliseconds(ours)
        report.add("  bfloat16", half, report.rows[-1]["reference"])


def tracker(report: Report) -> None:
    """A frame through the tracker, on one thread."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    for people in (10, 30, 100, 300, 1000):
        frames = _crowd(people, 40)
        times = [_frame_time(kind(), frames) for kind in (JDETracker, TrackByTrack)]
        report.add(f"tracker, {people} people", *times)
    torch.set_num_threads(threads)


def loader(report: Report) -> None:
    """A training image of 1920x1080, read, augmented and encoded by one worker."""
    cfg = Config.fromfile(CONFIG)
    with tempfile.TemporaryDirectory() as folder:
        _make_sequence(folder, 4)
        dataset = DATASETS.build(
            dict(
                type="MOTFrameDataset",
                data_root=folder,
                pipeline=cfg.train_pipeline,
            )
        )
        items = [dataset.get_data_info(i) for i in range(len(dataset))]
        rng = np.random.default_rng(0)
        head = MODELS.build(cfg.model.bbox_head)
        preprocessor = MODELS.build(cfg.model.data_preprocessor)

        batches = [pseudo_collate([dataset[i]]) for i in range(len(dataset))]

        def worker() -> None:
            for i in range(len(dataset)):
                dataset[i]

        def trainer() -> None:
            for batch in copy.deepcopy(batches):
                data = preprocessor(batch, training=True)
                instances = [sample.gt_instances for sample in data["data_samples"]]
                head.get_targets(instances, (152, 272), (608, 1088))

        def reference() -> None:
            for item in items:
                boxes = item["gt_bboxes"].numpy()
                training_image(item["img_path"], boxes, (1088, 608), rng)

        threads = cv2.getNumThreads()
        cv2.setNumThreads(0)  # as in a worker
        times = [
            report.milliseconds(work) / len(items)
            for work in (worker, reference, trainer)
        ]
        cv2.setNumThreads(threads)
    report.add("training image, in a worker", *times[:2])
    report.add("  its normalisation and heatmap, in the trainer", times[2])


def pipeline(report: Report) -> None:
    """Video file in, tracks and drawn video out, per frame."""
    frames = 8
    with tempfile.TemporaryDirectory() as folder:
        _make_sequence(folder, frames)
        video = Path(folder) / "in.mp4"
        _as_video(Path(folder) / "BENCH/img1", video)
        for size in ((1088, 608), (864, 480), (576, 320)):
            for name, dtype in (("", torch.float32), (", bfloat16", torch.bfloat16)):
                cfg = Config.fromfile(CONFIG)
                cfg.test_dataloader.dataset.input_size = size
                model = init_model(cfg, device=report.device, dtype=dtype)
                out = Path(folder) / "out.mp4"
                begin = time.perf_counter()
                track_video(model, video, Path(folder) / "out.txt", out)
                spent = 1e3 * (time.perf_counter() - begin) / frames
                what = f"video to tracks, {size[0]}x{size[1]}{name}"
                report.add(f"{what} ({1e3 / spent:.1f} frames a second)", spent)


def classifier(report: Report) -> None:
    """Identity loss of 200 objects, forward and backward, and its memory."""
    for identities in (15_000, 340_000, 1_000_000):
        features = torch.randn(200, 128, device=report.device, requires_grad=True)
        layer = torch.nn.Linear(128, identities, device=report.device)
        target = torch.randint(identities, (200,), device=report.device)

        def ours() -> Tensor:
            weights = (layer.weight, layer.bias)  # noqa: B023
            return chunked_cross_entropy(features, *weights, target)  # noqa: B023

        def reference() -> Tensor:
            return F.cross_entropy(layer(features), target, reduction="sum")  # noqa: B023

        gigabytes = [_peak_memory(work) for work in (ours, reference)]
        report.add(
            f"classifier, {identities} identities "
            f"({gigabytes[0]:.2f} for {gigabytes[1]:.2f} GB)",
            *(
                report.milliseconds(lambda: w().backward())  # noqa: B023
                for w in (ours, reference)
            ),
        )


def _build(cfg: dict, device: torch.device) -> FairMOT:
    torch.manual_seed(0)
    return _spread_offsets(MODELS.build(cfg)).to(device)


def _spread_offsets(model: Module) -> Module:
    """Give deformable convolutions offsets as large as in a trained network."""
    for module in model.modules():
        if isinstance(module, DCNv2) and module.conv_offset.bias is not None:
            torch.nn.init.normal_(module.conv_offset.bias, std=1.5)
    return model


def _objects(count: int, hw: tuple[int, int], device: torch.device) -> DetDataSample:
    middle = torch.rand(count, 2) * torch.tensor([hw[1], hw[0]])
    half = torch.rand(count, 2) * 15 + 5
    sample = DetDataSample()
    sample.gt_instances = InstanceData(
        bboxes=torch.cat((middle - half, middle + half), dim=1),
        labels=torch.zeros(count).long(),
        instances_ids=torch.arange(count),
    ).to(device)
    return sample


def _crowd(people: int, frames: int) -> list[tuple[np.ndarray, ...]]:
    """Boxes, scores and embeddings of walking people, a tenth of whom are missed."""
    rng = np.random.default_rng(0)
    height = rng.uniform(60, 200, people)
    sides = np.column_stack((height * 0.4, height))
    place, speed = rng.uniform(0, 1, (people, 2)) * (1920, 1080), rng.normal(0, 3, 2)
    appearance = rng.normal(size=(people, 128))
    out = []
    for _ in range(frames):
        place = place + speed + rng.normal(0, 1, place.shape)
        seen = rng.random(people) < 0.9
        boxes = np.concatenate((place - sides / 2, place + sides / 2), axis=1)[seen]
        embeddings = appearance[seen] + rng.normal(0, 0.3, (seen.sum(), 128))
        embeddings /= np.linalg.norm(embeddings, axis=1, keepdims=True)
        scores = rng.uniform(0.5, 1, seen.sum())
        out.append(tuple(a.astype(np.float32) for a in (boxes, scores, embeddings)))
    return out


def _frame_time(tracker: JDETracker, frames: list) -> float:
    times = []
    for frame in frames:
        begin = time.perf_counter()
        tracker.update(*frame)
        times.append(1e3 * (time.perf_counter() - begin))
    return statistics.median(times[5:])


def _make_sequence(folder: str, frames: int) -> None:
    make_sequence(
        Path(folder),
        "BENCH",
        num_frames=frames,
        num_people=20,
        size=(1920, 1080),
        seed=0,
    )


def _as_video(folder: Path, target: Path) -> None:
    with closing(VideoWriter(target, 30)) as writer:
        for path in sorted(folder.iterdir()):
            writer.write(read_image(path))


def _peak_memory(work: Callable[[], Tensor]) -> float:
    """Peak memory of a forward pass in gigabytes."""
    with torch.profiler.profile(profile_memory=True) as profile:
        work()
    now = peak = 0
    for event in profile.profiler.kineto_results.events():
        if event.name() == "[memory]":
            now += event.nbytes()
            peak = max(peak, now)
    return peak / 1e9


def environment(device: torch.device) -> dict:
    """The machine and software that the figures depend on."""
    return dict(
        torch=torch.__version__,
        device=torch.cuda.get_device_name() if device.type == "cuda" else "cpu",
        threads=torch.get_num_threads(),
        cores=os.cpu_count(),
        machine=platform.machine(),
        cpu_capability=torch.backends.cpu.get_cpu_capability(),
    )
