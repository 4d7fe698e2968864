"""Reading checkpoint files without running code from them, and writing them whole."""

import io
import re
import zipfile
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from pickle import UnpicklingError
from typing import cast
from urllib.parse import urlparse

import numpy as np
import torch
from mmengine.logging import HistoryBuffer

from fairmot_mm.formats.writing import write_file

from .packaged import resolve


def read_checkpoint(path: str | Path, trusted: bool = False) -> Mapping:
    """Read a checkpoint file, by default without running code that it may carry.

    Args:
        path: File of the runner, of the converters or of other code; a URL, whose file
            is downloaded to PyTorch's cache; or ``fairmot://NAME`` for weights of the
            package.
        trusted: Whether the file may hold more than tensors, plain values and the log
            of MMEngine's runner: reading it can then run any code.

    Raises:
        FileNotFoundError: If there is no such file.
        OSError: If it cannot be downloaded.
        ValueError: If it is damaged, no checkpoint, or holds more than it may.
    """
    path = checkpoint_file(path)
    if damage := find_damage(path):
        raise ValueError(f"{path}: no checkpoint, or a damaged one: {damage}")
    try:
        with torch.serialization.safe_globals(safe_types()):
            checkpoint = torch.load(path, map_location="cpu", weights_only=not trusted)
    except Exception as error:
        # PyTorch's own message advises to load whatever it is.
        refused = re.search(r"(?<=GLOBAL )\S+|getattr\S*", str(error))
        if refused is None:
            name = type(error).__name__
            raise ValueError(f"{path}: no checkpoint ({name})") from error
        raise ValueError(
            f"{path}: no checkpoint of tensors and plain values, it refers to "
            f"{refused[0]}: reading it can run any code that is hidden in it. "
            "If you trust whoever made it, pass --trust-checkpoint, or "
            "trust_checkpoint=True in Python"
        ) from error
    if not isinstance(checkpoint, Mapping):
        kind = type(checkpoint).__name__
        raise ValueError(f"{path}: the checkpoint is a {kind}, not tensors by name")
    return checkpoint


def is_url(path: str | Path) -> bool:
    """Whether MMEngine would download this checkpoint."""
    return str(path).startswith(("http://", "https://"))


def checkpoint_file(path: str | Path) -> Path:
    """The file of a checkpoint, downloaded if it is a URL.

    Raises:
        FileNotFoundError: If there is none.
        OSError: If it cannot be downloaded.
    """
    path = resolve(path)
    path = _download(str(path)) if is_url(path) else Path(path).expanduser()
    if not path.is_file():
        raise FileNotFoundError(f"no checkpoint at {path}")
    return path


def _download(url: str) -> Path:
    """Download a file to where MMEngine looks for it, if it is not there yet."""
    path = Path(torch.hub.get_dir(), "checkpoints", Path(urlparse(url).path).name)
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            torch.hub.download_url_to_file(url, str(path), progress=False)
        except OSError as error:
            raise OSError(f"cannot download the checkpoint {url}: {error}") from error
    return path


def find_damage(path: Path) -> str | None:
    """What is wrong with a file's structure or checksums, if anything.

    Files of PyTorch before 1.6 have no checksums.
    """
    try:
        if not zipfile.is_zipfile(path):
            with path.open("rb") as file:
                cut = file.read(4) == b"PK\x03\x04"
            return "the end is missing" if cut else None
        with zipfile.ZipFile(path) as archive:
            broken = archive.testzip()
    except Exception as error:  # whatever the reader makes of damaged bytes
        return f"{type(error).__name__}: {error}"
    return broken and f"the checksum of {broken} does not match"


def write_checkpoint(checkpoint: Mapping, path: Path) -> None:
    """Write a checkpoint file; see :func:`write_file`."""
    buffer = io.BytesIO()
    torch.save(checkpoint, buffer)
    write_file(path, buffer.getbuffer(), durable=True)


@cache
def safe_types() -> list[Callable | tuple[Callable, str]]:
    """What files may refer to beside tensors and plain values: MMEngine's log."""
    dtypes = {type(np.dtype(code)) for code in np.typecodes["AllInteger"] + "efd?"}
    # Functions that NumPy refers to, by their names in NumPy 1 and 2.
    functions = dict(_reconstruct=np.zeros(0), scalar=np.float64(0))
    arrays = [
        (cast(Callable, value.__reduce__()[0]), f"numpy.{core}.multiarray.{name}")
        for name, value in functions.items()
        for core in ("core", "_core")
    ]
    getattr_of_log = (_statistic, "builtins.getattr")
    return [HistoryBuffer, np.ndarray, np.dtype, *dtypes, *arrays, getattr_of_log]


def _statistic(owner: object, name: str) -> object:
    """``getattr`` as far as MMEngine's log needs it, for methods of its histories."""
    if owner is not HistoryBuffer or name not in ("min", "max", "current", "mean"):
        raise UnpicklingError(f"getattr(..., {name!r})")
    return getattr(HistoryBuffer, name)
