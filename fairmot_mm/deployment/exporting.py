"""Writing a model as ONNX or OpenVINO's format, in float32 or int8."""

import contextlib
import io
import logging
import re
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from fairmot_mm.datasets.class_names import class_names
from fairmot_mm.formats.writing import write_file
from fairmot_mm.models import FairMOT

from .backends import BACKENDS, RT_INFO, open_exported, require
from .comparison import Differences, compare
from .frames import made_up_frames
from .graph import INPUTS, OUTPUTS, PeakGraph
from .metadata import Metadata, tracking_config

# DeformConv is there since 19; ONNX Runtime has no kernel for the RoiAlign of 22.
OPSET = 21


def export_model(
    model: FairMOT,
    path: str | Path,
    size: tuple[int, int],
    calibration: Sequence[np.ndarray] | None = None,
    frames: Sequence[np.ndarray] | None = None,
) -> Differences:
    """Write a model to a file that ONNX Runtime or OpenVINO runs, and compare both.

    Args:
        model: From ``init_model``.
        path: ``.onnx``, or ``.xml``, which gets a ``.bin`` beside it.
        size: Width and height of the network input.
        calibration: Frames (1, H, W, 3) uint8 of the kind it will see, letterboxed:
            makes the convolutions int8. None leaves them in float32.
        frames: Frames of the same kind to compare on; those of the calibration, or
            made-up ones, if None.

    Returns:
        How far the file is from PyTorch.

    Raises:
        ImportError: If a package that it takes is not installed.
        TypeError: If the model is no FairMOT.
        ValueError: If the size or suffix is wrong, or the file differs from PyTorch by
            more than ``LIMITS`` allows.
    """
    path = Path(path)
    if path.suffix.lower() not in BACKENDS:
        raise ValueError(
            f"{path}: expected a name that ends in {' or '.join(BACKENDS)}"
        )
    if not isinstance(model, FairMOT):
        raise TypeError(f"only a FairMOT is exported, not a {type(model).__name__}")
    check_size(size)
    graph = PeakGraph(model)
    frame = torch.zeros((1, size[1], size[0], 3), dtype=torch.uint8)
    example = (frame, torch.tensor([-1.0]), torch.tensor([0, 1]), torch.zeros(2, 4))
    with torch.no_grad():
        feats = graph.model.extract_feat(frame.permute(0, 3, 1, 2).float())
    metadata = Metadata(
        config=tracking_config(model.cfg, size),
        input_hw=(size[1], size[0]),
        map_hw=tuple(feats[0].shape[-2:]),
        classes=tuple(class_names(model.cfg, model.num_classes)),
        precision="float32" if calibration is None else "int8",
    )
    write = _write_onnx if path.suffix.lower() == ".onnx" else _write_openvino
    write(graph, example, path, metadata.to_strings(), calibration)
    differences = compare(
        graph,
        open_exported(path),
        frames or calibration or list(made_up_frames(size)),
        getattr(model.tracker, "lowest_score", 0.4),
    )
    differences.check(metadata.precision, path)
    return differences


def parse_size(text: str) -> tuple[int, int]:
    """Width and height of the network input, of ``576x320``.

    Raises:
        ValueError: It is no size.
    """
    found = re.fullmatch(r"(\d+)x(\d+)", text)
    if found is None:
        raise ValueError(f"size {text}: expected WIDTHxHEIGHT, such as 576x320")
    return int(found[1]), int(found[2])


def check_size(size: tuple[int, int]) -> None:
    """Refuse a size of the network input that the strides do not divide."""
    if len(size) != 2 or min(size) < 32 or size[0] % 32 or size[1] % 32:
        raise ValueError(
            f"size {'x'.join(map(str, size))} of the network input: expected "
            "WIDTHxHEIGHT, two multiples of 32, such as 576x320"
        )


def _write_onnx(
    graph: PeakGraph,
    example: tuple[torch.Tensor, ...],
    path: Path,
    strings: dict[str, str],
    calibration: Sequence[np.ndarray] | None,
) -> None:
    for module in ("onnx", "onnxscript", "onnxruntime"):
        require(module, "onnx", path)
    any_number = {0: torch.export.Dim("num_cells", min=1)}
    with _quiet():
        program: Any = torch.onnx.export(
            graph,
            example,
            dynamo=True,
            opset_version=OPSET,
            dynamic_shapes=({}, {}, any_number, any_number),
            input_names=INPUTS,
            output_names=OUTPUTS,
            verbose=False,
        )
    model = program.model_proto
    if calibration is not None:
        model = quantize(model, calibration, path)
    for key, value in strings.items():
        model.metadata_props.add(key=key, value=value)
    write_file(path, model.SerializeToString(), durable=True)


def _write_openvino(
    graph: PeakGraph,
    example: tuple[torch.Tensor, ...],
    path: Path,
    strings: dict[str, str],
    calibration: Sequence[np.ndarray] | None,
) -> None:
    openvino = require("openvino", "openvino", path)
    with _quiet():
        model = openvino.convert_model(
            graph,
            example_input=example,
            input=[
                ([*example[0].shape], np.uint8),
                ([1], np.float32),
                ([-1], np.int64),
                ([-1, 4], np.float32),
            ],
        )
    for ports, names in ((model.inputs, INPUTS), (model.outputs, OUTPUTS)):
        for port, name in zip(ports, names, strict=True):
            port.set_names({name})
    if calibration is not None:
        model = quantize(model, calibration, path)
    for key, value in strings.items():
        model.set_rt_info(value, [RT_INFO, key])
    path.parent.mkdir(parents=True, exist_ok=True)
    openvino.save_model(model, path, compress_to_fp16=False)


def quantize(model: Any, frames: Sequence[np.ndarray], path: Path) -> Any:  # noqa: ANN401
    """Make a network's convolutions int8 by NNCF's post-training quantisation.

    The first convolution, the branch of the heatmap and what is computed at the peaks
    alone stay in float32: scores decide what is tracked, and they are a quarter nearer
    to float32's for a fifth of int8's time. So do deformable convolutions, which no run
    time has in int8, and whose offsets int8 would round to parts of a pixel.

    Args:
        model: As OpenVINO or ONNX hold it.
        frames: (1, H, W, 3) uint8 each, which the ranges of the maps are measured on.
        path: The file that it becomes, for errors.
    """
    nncf = require("nncf", "openvino" if path.suffix == ".xml" else "onnx", path)
    nncf.set_log_level(logging.ERROR)
    if path.suffix.lower() == ".xml":
        operators = [
            (op.get_friendly_name(), op.get_type_name())
            for op in model.get_ordered_ops()
        ]
        kinds, convolution = ["MatMul", "DeformableConvolution"], "Convolution"
    else:
        operators = [(node.name, node.op_type) for node in model.graph.node]
        kinds, convolution = ["Gemm", "MatMul", "DeformConv"], "Conv"
    # In the order of computing: the heatmap's branch ends it.
    first, *_, last, output = [n for n, kind in operators if kind == convolution]

    def inputs(frame: np.ndarray) -> dict[str, np.ndarray]:
        nowhere = (np.zeros(2, np.int64), np.zeros((2, 4), np.float32))
        every = np.array([-1.0], np.float32)
        return dict(zip(INPUTS, (frame, every, *nowhere), strict=True))

    with _quiet():
        return nncf.quantize(
            model,
            nncf.Dataset(frames, inputs),
            subset_size=len(frames),
            preset=nncf.QuantizationPreset.MIXED,
            ignored_scope=nncf.IgnoredScope(
                [first, last, output], types=kinds, validate=False
            ),
        )


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without the exporters' progress and the tracers' warnings on constant shapes."""
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        yield
