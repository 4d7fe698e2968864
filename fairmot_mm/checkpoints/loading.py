from collections.abc import Mapping
from pathlib import Path

from torch import Tensor, nn

from .files import read_checkpoint

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


def load_for_tracking(
    model: nn.Module, path: str | Path, trusted: bool = False
) -> None:
    """Load a checkpoint into a model, strictly on everything tracking needs.

    ``path`` and ``trusted`` are those of :func:`read_checkpoint`.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is no checkpoint or does not fit; names the first tensors
            that do not.
    """
    checkpoint = read_checkpoint(path, trusted)
    own = model.state_dict()
    try:
        state = unwrap_checkpoint(checkpoint)
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
