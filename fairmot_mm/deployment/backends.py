"""Run times of exported files, behind one interface."""

import threading
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol

import numpy as np
import torch
from mmengine.logging import print_log

from .graph import INPUTS, OUTPUTS
from .metadata import Metadata

# Where an .xml keeps the metadata.
RT_INFO = "fairmot"


class Backend(Protocol):
    """An exported file that runs.

    Attributes:
        metadata: What the file knows of its model.
    """

    metadata: Metadata

    def run(self, *inputs: np.ndarray) -> dict[str, np.ndarray]:
        """Inputs and outputs of :meth:`PeakGraph.forward` as arrays, by name.

        Several threads may call it at once.
        """


# Compiled by OpenVINO, until the process ends: when one with int8 layers is destroyed,
# memory of others is unmapped, and the data loaders of a later training crashed on it.
_KEPT: list[Any] = []


class OnnxRuntimeBackend:
    """ONNX Runtime.

    Args:
        path: The file, .onnx.
        device: A GPU is used if this names one and ONNX Runtime's build knows it.
        dtype: Precision; must be float32, that of the file.

    Raises:
        ImportError: ONNX Runtime is not installed.
        ValueError: The file cannot be read, or not in that precision.
    """

    def __init__(
        self, path: Path, device: torch.device, dtype: torch.dtype = torch.float32
    ) -> None:
        if dtype != torch.float32:
            raise ValueError(
                f"{path}: ONNX Runtime computes in the precision that a file was "
                "exported with: leave half precision (--amp) out"
            )
        providers = ["CPUExecutionProvider"]
        if device.type == "cuda":
            providers.insert(0, "CUDAExecutionProvider")
        self.metadata = self.read_metadata(path)
        self._session = self._open(path, providers)
        _check_inputs([port.name for port in self._session.get_inputs()], path)

    @classmethod
    def read_metadata(cls, path: Path) -> Metadata:
        """The metadata of a file, without preparing it to run."""
        session = cls._open(path, ["CPUExecutionProvider"], optimise=False)
        return Metadata.from_strings(session.get_modelmeta().custom_metadata_map, path)

    @staticmethod
    def _open(path: Path, providers: list[str], optimise: bool = True) -> Any:  # noqa: ANN401
        runtime = require("onnxruntime", "onnx", path)
        options = runtime.SessionOptions()
        options.log_severity_level = 3
        options.intra_op_num_threads = torch.get_num_threads()
        # Threads that wait for the next frame leave the cores to the reader.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        if not optimise:
            level = runtime.GraphOptimizationLevel.ORT_DISABLE_ALL
            options.graph_optimization_level = level
        available = runtime.get_available_providers()
        providers = [name for name in providers if name in available]
        try:
            return runtime.InferenceSession(path, options, providers)
        except Exception as error:  # its exceptions have no common public base
            raise ValueError(f"{path}: unreadable ONNX model ({error})") from error

    def run(self, *inputs: np.ndarray) -> dict[str, np.ndarray]:
        """See :class:`Backend`."""
        given = dict(zip(INPUTS, inputs, strict=True))
        return dict(zip(OUTPUTS, self._session.run(OUTPUTS, given), strict=True))


class OpenVINOBackend:
    """OpenVINO on the CPU.

    Args:
        path: The file, .xml, with its .bin beside it.
        device: Not read.
        dtype: Precision; bfloat16 where the processor has it, float32 with a log entry
            where not. Layers in int8 stay so.

    Raises:
        ImportError: OpenVINO is not installed.
        ValueError: The file cannot be read.
    """

    def __init__(
        self, path: Path, device: torch.device, dtype: torch.dtype = torch.float32
    ) -> None:
        core = require("openvino", "openvino", path).Core()
        half = dtype != torch.float32
        if half and "BF16" not in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
            print_log("no bfloat16 on this processor: float32", logger="current")
            half = False
        settings = dict(
            PERFORMANCE_HINT="LATENCY",
            INFERENCE_PRECISION_HINT="bf16" if half else "f32",
            INFERENCE_NUM_THREADS=torch.get_num_threads(),
            ENABLE_CPU_PINNING=False,  # the reader's thread moves, so do these
        )
        self.metadata = self.read_metadata(path)
        self._compiled = core.compile_model(path, "CPU", settings)
        _check_inputs([port.any_name for port in self._compiled.inputs], path)
        _KEPT.append(self._compiled)
        self._requests = threading.local()

    @classmethod
    def read_metadata(cls, path: Path) -> Metadata:
        """The metadata of a file, without preparing it to run."""
        try:
            model = require("openvino", "openvino", path).Core().read_model(path)
        except RuntimeError as error:
            reason = str(error).strip().splitlines()[-1]
            raise ValueError(f"{path}: unreadable OpenVINO model ({reason})") from error
        strings = {}
        if model.has_rt_info([RT_INFO]):
            known = model.get_rt_info([RT_INFO]).value
            strings = {key: str(value) for key, value in known.items()}
        return Metadata.from_strings(strings, path)

    def run(self, *inputs: np.ndarray) -> dict[str, np.ndarray]:
        """See :class:`Backend`."""
        request: Any = getattr(self._requests, "request", None)
        if request is None:
            request = self._requests.request = self._compiled.create_infer_request()
        # The next frame overwrites the request's own arrays, hence copies.
        found = request.infer(dict(zip(INPUTS, inputs, strict=True)))
        return {name: found[name].copy() for name in OUTPUTS}


BACKENDS: dict[str, type[OnnxRuntimeBackend] | type[OpenVINOBackend]] = {
    ".onnx": OnnxRuntimeBackend,
    ".xml": OpenVINOBackend,
}


def _check_inputs(names: list[str], path: Path) -> None:
    """Refuse a file that takes other inputs than ours give."""
    if sorted(names) != sorted(INPUTS):
        raise ValueError(
            f"{path} takes {', '.join(names)}, but models of this version take "
            f"{', '.join(INPUTS)}: export the model again"
        )


def is_exported(path: object) -> bool:
    """Whether a checkpoint's name is that of an exported file."""
    return isinstance(path, str | Path) and Path(path).suffix.lower() in BACKENDS


def open_exported(
    path: str | Path,
    device: torch.device | str = "cpu",
    dtype: torch.dtype = torch.float32,
) -> Backend:
    """Open an exported file, .onnx or .xml.

    Args:
        path: The file.
        device: Where it runs.
        dtype: Precision of what is not in int8.

    Raises:
        FileNotFoundError: If there is no such file.
        ImportError: If its run time is not installed; names the extra that brings it.
        ValueError: If it cannot be read, was not exported by this package, or does not
            run in that precision.
    """
    path = _existing(path)
    return BACKENDS[path.suffix.lower()](path, torch.device(device), dtype)


def read_metadata(path: str | Path) -> Metadata:
    """The metadata of an exported file; raises what :func:`open_exported` does."""
    path = _existing(path)
    return BACKENDS[path.suffix.lower()].read_metadata(path)


def _existing(path: str | Path) -> Path:
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"no exported model at {path}")
    return path


def require(module: str, extra: str, path: object) -> ModuleType:
    """Import a run time or an exporter.

    Args:
        module: Its name.
        extra: The package's extra that brings it.
        path: The file it is for.

    Raises:
        ImportError: It is not installed.
    """
    try:
        return import_module(module)
    except ImportError as error:
        raise ImportError(
            f"{path} needs {module}: pip install 'fairmot_mm[{extra}]'"
        ) from error
