"""What tests of every folder share."""

import json
import zlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from importlib.metadata import distributions
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from torch import Tensor

import fairmot_mm  # noqa: F401  (registers the components)
from fairmot_mm.synthetic import make_sequence

CONFIGS = Path(__file__).parents[1] / "configs"
DATA = Path(__file__).parent / "data"
SHARED = Path(__file__).resolve().parents[2] / "shared"
NOT_HERE = "not in the folder `shared` beside the repository"

# What the original OpenMMLab toolboxes cannot do, by the beginning of a test's name.
ORIGINALS = "onedl-mmengine" not in {package.name for package in distributions()}
# Their environment gets OpenCV 5.
NOT_ON_ORIGINALS: dict[str, str] = {
    "tests/streams/test_sinks.py::test_video_of_a_stream_keeps_its_times": (
        "OpenCV 5 writes other letters"
    ),
    "tests/streams/test_stream_sources.py::test_pixels_of_a_file_are_those_of_opencv": (
        "OpenCV 5 converts colours otherwise"
    ),
}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "real_sequence" in getattr(item, "fixturenames", ()):
            item.add_marker("needs_shared")
        for name, reason in NOT_ON_ORIGINALS.items() if ORIGINALS else ():
            if item.nodeid.startswith(name):
                item.add_marker(pytest.mark.skip(reason))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    skipped = terminalreporter.stats.get("skipped", [])
    missing = sum(NOT_HERE in str(report.longrepr) for report in skipped)
    if missing:
        terminalreporter.write_line(
            f"{missing} tests did not run for want of numbers of the reference "
            "implementation and frames of MOT17, which are too large or not ours to "
            "copy: tests/README.md says how to get them."
        )


@pytest.fixture(autouse=True)
def scope() -> None:
    """Components are named as in the plugin's own configs."""
    init_default_scope("fairmot_mm")


@pytest.fixture
def full_disk() -> Callable[[int], AbstractContextManager[None]]:
    """Within it, no file can grow beyond so many bytes."""

    @contextmanager
    def limit(size: int) -> Iterator[None]:
        resource = pytest.importorskip("resource")
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)

    return limit


@pytest.fixture(scope="session")
def golden() -> Callable[[str], dict[str, np.ndarray]]:
    """Numbers of the published implementation, by file name."""

    def load(name: str) -> dict[str, np.ndarray]:
        for folder in (DATA, SHARED / "goldens"):
            if (folder / name).is_file():
                with np.load(folder / name) as file:
                    return dict(file)
        pytest.skip(f"{NOT_HERE}: goldens/{name}")

    return load


@pytest.fixture(scope="session")
def real_sequence() -> Path:
    """Eight annotated frames of MOT17."""
    folder = SHARED / "data/MOT17-mini/MOT17-04-FRCNN"
    if not folder.is_dir():
        pytest.skip(f"{NOT_HERE}: data/MOT17-mini")
    return folder


@pytest.fixture(scope="session")
def synthetic(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of three short sequences of 6, 5 and 4 frames."""
    root = tmp_path_factory.mktemp("synthetic")
    for i, frames in enumerate((6, 5, 4)):
        make_sequence(
            root,
            f"SYN-{i:02d}",
            num_frames=frames,
            num_people=4,
            size=(192, 128),
            seed=i,
        )
    return root


def seeded(name: str, shape: tuple[int, ...]) -> Tensor:
    """The goldens' weights: a function of a tensor's published name and shape."""
    rng = np.random.Generator(np.random.PCG64(zlib.crc32(name.encode())))
    if name.endswith("num_batches_tracked"):
        return torch.zeros((), dtype=torch.long)
    if name.endswith("running_var"):
        values = rng.uniform(0.5, 1.5, shape)
    elif name.endswith("running_mean"):
        values = rng.normal(0, 0.1, shape)
    elif len(shape) == 1 and name.endswith("weight"):
        values = rng.uniform(0.8, 1.2, shape)
    elif len(shape) == 1:
        values = rng.normal(0, 0.05, shape)
    else:
        values = rng.normal(0, np.sqrt(2 / np.prod(shape[1:])), shape)
        if "conv_offset_mask" in name:
            values = values * 0.5
    return torch.from_numpy(values.astype(np.float32))


@pytest.fixture(scope="session")
def published_state() -> Callable[..., dict[str, Tensor]]:
    """A checkpoint under its published names, as a golden was made with."""

    def build(
        numbers: dict, num_ids: int | None = None, arch: str = "dla_34"
    ) -> dict[str, Tensor]:
        shapes = json.loads((DATA / f"checkpoint_keys_{arch}.json").read_text())
        state = {name: seeded(name, tuple(shape)) for name, shape in shapes.items()}
        for key, value in numbers.items():
            if key.startswith("bn/"):
                state[key.removeprefix("bn/")] = torch.from_numpy(value)
        if num_ids is not None:
            for name, shape in (("weight", (num_ids, 128)), ("bias", (num_ids,))):
                state[f"classifier.{name}"] = seeded(f"classifier.{name}", shape)
        return state

    return build


@pytest.fixture(scope="session")
def assert_maps_equal() -> Callable[..., None]:
    """Comparison of a network's maps with the published network's."""
    return _assert_maps_equal


def _assert_maps_equal(model: torch.nn.Module, numbers: dict[str, np.ndarray]) -> None:
    image = torch.from_numpy(numbers["input"])
    with torch.no_grad():
        maps = model(image, mode="tensor")
        exact = model.double()(image.double(), mode="tensor")
    model.float()
    names = dict(heatmap="hm", size="wh", offset="reg", embedding="id")
    for name, published in names.items():
        expected = torch.from_numpy(numbers[published])
        assert maps[name].shape == expected.shape
        if (maps[name] - expected).abs().max() < 1e-4 * expected.abs().max():
            continue
        # Another processor or number of threads sums up differently. Double precision
        # does not: there the golden's own rounding is all that is left, at most 2e-3.
        # In single precision one is as close to that as the golden, within a factor.
        given_error, golden_error = (
            (array - exact[name]).abs().max() for array in (maps[name], expected)
        )
        assert golden_error < 2.5e-3 * expected.abs().max()
        assert given_error < 4 * golden_error


@pytest.fixture
def model_cfg() -> dict:
    """FairMOT with DLA-34 as in the configs, with the defaults of its parts."""
    cfg = Config.fromfile(CONFIGS / "_base_" / "fairmot_dla34.py").model.to_dict()
    cfg["reid_head"].pop("num_ids")
    cfg.pop("task_weighting")
    return cfg | dict(tracker=dict(type="JDETracker"))
