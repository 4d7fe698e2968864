"""The light network as PyTorch, ONNX Runtime and OpenVINO run it, for benchmark.py."""

import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from importlib.util import find_spec
from pathlib import Path

import torch
from benchmark_sections import Report, _as_video, _make_sequence
from mmengine.model import BaseModel

from fairmot_mm.apis import init_model, track_video
from fairmot_mm.apis.inference import pack_frame, prepare_frame, track_frame
from fairmot_mm.deployment.exporting import export_model
from fairmot_mm.deployment.frames import read_frames
from fairmot_mm.formats.mot_results import result_lines, result_rows
from fairmot_mm.streams import open_scaled, open_source

SIZE = (576, 320)
FRAMES = 60  # of a video
RUN_TIMES = dict(onnx="onnxruntime", xml="openvino")


def exported(report: Report, video: str | None = None) -> None:
    """The light network, and a 1080p file to tracks, per run time and precision.

    Args:
        report: Where the times go.
        video: The file; one that is rendered if None.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        source = Path(video) if video is not None else render(folder)
        for what, model in _models(folder, source):
            _, frames = open_source(source)
            with closing(frames):
                data = prepare_frame(model, next(frames), 0, 30.0)
            with torch.inference_mode():
                inputs = model.data_preprocessor(data, False)
                frame = inputs["data_samples"][0][0].metainfo
                image = inputs["inputs"][0]
                spent = report.milliseconds(lambda: model.predict_frame(image, frame))  # noqa: B023
            report.add(f"light network 576x320, {what}", spent)
            for fast in (False, True) if find_spec("av") else (False,):
                spent = _video_time(model, source, folder, fast)
                pixels = "fast resize" if fast else "published pixels"
                text = f"  1080p file to tracks, {pixels}"
                report.add(f"{text} ({1e3 / spent:.1f} frames a second)", spent)
        _path(report, source)


def render(folder: Path) -> Path:
    """Render a 1080p video of ``FRAMES`` frames."""
    _make_sequence(str(folder), FRAMES)
    video = folder / "in.mp4"
    _as_video(folder / "BENCH/img1", video)
    return video


def _models(folder: Path, video: Path) -> Iterator[tuple[str, BaseModel]]:
    """Name and model of each run time and precision that is there."""
    cpu = torch.device("cpu")
    light = init_model(None, device=cpu)
    yield "PyTorch float32", light
    yield "PyTorch bfloat16", init_model(None, device=cpu, dtype=torch.bfloat16)
    calibration = read_frames(video, SIZE, 20)
    for suffix, run_time in RUN_TIMES.items():
        if find_spec(run_time) is None:
            print(f"{run_time} is not installed and left out: see docs/deployment.md")
            continue
        for precision in ("float32", "int8"):
            if precision == "int8" and find_spec("nncf") is None:
                print("nncf is not installed, int8 left out: see docs/deployment.md")
                continue
            path = folder / f"{precision}.{suffix}"
            given = calibration if precision == "int8" else None
            export_model(light, path, SIZE, given, calibration[:2])
            yield f"{run_time} {precision}", init_model(None, path, cpu)
            if suffix == "xml" and precision == "float32" and _has_bfloat16():
                half = init_model(None, path, cpu, dtype=torch.bfloat16)
                yield f"{run_time} bfloat16", half


def _has_bfloat16() -> bool:
    """Whether OpenVINO computes in bfloat16 here."""
    from openvino import Core

    found = "BF16" in Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    if not found:
        print("this processor has no bfloat16: PyTorch emulates it, OpenVINO does not")
    return found


def _video_time(model: BaseModel, video: Path, folder: Path, fast: bool) -> float:
    """Milliseconds a frame from the file to result lines, threads included."""
    begin = time.perf_counter()
    count = track_video(model, video, folder / "out.txt", fast_resize=fast)
    return 1e3 * (time.perf_counter() - begin) / count


def _path(report: Report, video: Path) -> None:
    """What stands around the network, step by step, each in one thread."""
    model = init_model(None, device="cpu")

    def each(work: Iterator) -> float:
        """Milliseconds per item of a generator."""
        begin, count = time.perf_counter(), 0
        for _ in work:
            count += 1
            if count == FRAMES:
                break
        return 1e3 * (time.perf_counter() - begin) / max(count, 1)

    report.add("path: decode by OpenCV, to BGR", each(open_source(video)[1]))
    if find_spec("av"):
        spent = each(open_scaled(video, SIZE)[1])
        report.add("path: decode and letterbox, fast resize", spent)
    frame = next(open_source(video)[1])
    data = prepare_frame(model, frame, 0, 30.0)
    spent = report.milliseconds(lambda: prepare_frame(model, frame, 0, 30.0))
    report.add("path: letterbox and packing, published pixels", spent)
    image = data["inputs"][0, 0].permute(1, 2, 0).numpy()
    spent = report.milliseconds(lambda: pack_frame(image, (1080, 1920), 0, 30.0))
    report.add("path: packing alone", spent)
    with torch.inference_mode():
        spent = report.milliseconds(lambda: model.data_preprocessor(data, False))
    report.add("path: data preprocessor (PyTorch alone)", spent)
    sample = track_frame(model, data)[0]
    spent = report.milliseconds(lambda: model.tracker.track(data_sample=sample))
    report.add("path: tracker", spent)
    tracks = sample.pred_track_instances
    spent = report.milliseconds(lambda: result_lines(result_rows(1, tracks)))
    report.add("path: result lines", spent)
