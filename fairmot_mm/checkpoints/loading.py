import re
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

# What only training needs: a checkpoint may lack it or bring that of other data.
TRAINING_ONLY = ("reid_head.classifier.", "task_weighting.")


def unwrap_checkpoint(checkpoint: Mapping) -> dict[str, Tensor]:
    """Find the tensors in what a checkpoint file holds.

    Args:
        checkpoint: Tensors by name, bare or under ``state_dict``, names with or
            without the ``module.`` that ``DataParallel`` puts before them.

    Returns:
        Tensors by bare name.

    Raises:
        ValueError: If there is no tensor.
    """
    if not isinstance(checkpoint, Mapping):
        raise ValueError(
            f"the checkpoint is a {type(checkpoint).__name__}, not tensors by name"
        )
    state = checkpoint.get("state_dict", checkpoint)
    tensors = {
        name.removeprefix("module."): value
        for name, value in (state.items() if isinstance(state, Mapping) else ())
        if isinstance(name, str) and isinstance(value, Tensor)
    }
    if not tensors:
        raise ValueError(
            "the checkpoint holds no tensors, neither bare nor under 'state_dict': "
            f"its keys are {', '.join(map(str, list(checkpoint)[:5]))}"
        )
    return tensors


def read_checkpoint(path: str | Path, trusted: bool = False) -> dict:
    """Read a checkpoint file, by default without running code that it may carry.

    Args:
        path: File of the runner, of the converters or of other code.
        trusted: Whether the file may hold more than tensors and plain values, as the
            runner's does: reading it can then run any code.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is no checkpoint, or holds more than it may.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"no checkpoint at {path}")
    try:
        return torch.load(path, map_location="cpu", weights_only=not trusted)
    except Exception as error:
        # PyTorch's own message advises to load whatever it is.
        told = re.search(r"GLOBAL (\S+)", str(error))
        reason = f"it refers to {told[1]}" if told else type(error).__name__
        kind = "" if trusted else " of tensors and plain values"
        raise ValueError(f"no checkpoint{kind} ({reason})") from error


def load_for_tracking(model: nn.Module, path: str | Path) -> None:
    """Load a checkpoint into a model, strictly on everything tracking needs.

    Args:
        model: The model.
        path: File written by training or by the converter.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is no checkpoint or does not fit; names the first tensors
            that do not.
    """
    try:
        # The runner's checkpoints hold more than tensors, its log among it: they are
        # read as MMEngine reads them, and like any pickle only from whom one trusts.
        state = unwrap_checkpoint(read_checkpoint(path, trusted=True))
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    own = model.state_dict()
    try:
        model.load_state_dict(state, strict=True)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    except RuntimeError as error:
        wrong = [
            f"{key} ({_shape(state.get(key))} in the file, {_shape(own.get(key))} in "
            "the model)"
            for key in dict.fromkeys((*own, *state))
            if _shape(state.get(key)) != _shape(own.get(key))
            and not key.startswith(TRAINING_ONLY)
        ]
        raise ValueError(
            f"{path} does not fit the model: {', '.join(wrong[:3])} "
            f"and {max(len(wrong) - 3, 0)} more"
        ) from error


def _shape(value: Tensor | None) -> str:
    return "absent" if value is None else str(tuple(value.shape))
