import re
from collections import OrderedDict
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

import torch
from torch import Tensor, nn

# Published name -> ours, first match of each rule in turn. The two parts of a name are
# rewritten independently: which component it belongs to, and what a layer is called.
_COMPONENTS = {
    r"^base\.": "backbone.",
    r"^dla_up\.ida_(\d+)\.": r"neck.dla_up.\1.",
    r"^ida_up\.": "neck.ida_up.",
    r"^hm\.": "bbox_head.heatmap_branch.",
    r"^wh\.": "bbox_head.size_branch.",
    r"^reg\.": "bbox_head.offset_branch.",
    r"^id\.": "reid_head.branch.",
    r"^classifier\.": "reid_head.classifier.",
    r"^(s_det|s_id)$": r"task_weighting.\1",
}
_DLA_LAYERS = {
    r"(base_layer|level[01]|project)\.0\.": r"\1.conv.",
    r"(base_layer|level[01]|project)\.1\.": r"\1.bn.",
    r"\.conv([12])\.": r".conv\1.conv.",
    r"\.bn([12])\.": r".conv\1.bn.",
    r"\.actf\.0\.": ".bn.",
    r"\.conv_offset_mask\.": ".conv_offset.",
}
_DLA_LISTS = {"proj": "projections", "up": "upsamples", "node": "nodes"}
# Part of the published file but of no published forward pass: the projection of a tree
# of several levels, whose subtree makes its own, and the ImageNet classifier.
_DLA_UNUSED = re.compile(r"^base\.(level[34]\.project|fc)\.")

ARCHITECTURES = ("dla_34",)

# What only training needs: a checkpoint may lack it or bring that of other data.
TRAINING_ONLY = ("reid_head.classifier.", "task_weighting.")


def unwrap_checkpoint(checkpoint: Mapping) -> dict[str, Tensor]:
    """Find the tensors in what a checkpoint file holds.

    Args:
        checkpoint (Mapping): Tensors by name, bare or under ``state_dict``, names with
            or without the ``module.`` that ``DataParallel`` puts before them.

    Returns:
        dict[str, Tensor]: Tensors by bare name.

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


@lru_cache
def _network_names(arch: str) -> frozenset[str]:
    """Names of all tensors of an architecture's model, the classifier's included."""
    from fairmot_mm.models import DLANeck, DLANet, EmbeddingHead, FairMOTHead

    parts = dict(backbone=DLANet, neck=DLANeck)
    with torch.device("meta"):  # no memory is filled for mere names
        modules = {name: part() for name, part in parts.items()}
        modules["bbox_head"] = FairMOTHead(64)
        modules["reid_head"] = EmbeddingHead(64, num_ids=2)
    names = {
        f"{prefix}.{name}"
        for prefix, module in modules.items()
        for name in module.state_dict()
    }
    return frozenset(names | {"task_weighting.s_det", "task_weighting.s_id"})


def _rename_dla(name: str) -> str | None:
    for pattern, replacement in _COMPONENTS.items():
        renamed, hits = re.subn(pattern, replacement, name)
        if hits:
            break
    else:
        return None
    if renamed.startswith(("backbone.", "neck.")):
        for pattern, replacement in _DLA_LAYERS.items():
            renamed = re.sub(pattern, replacement, renamed)
        renamed = re.sub(
            r"\.(proj|up|node)_(\d+)\.",
            lambda hit: f".{_DLA_LISTS[hit[1]]}.{int(hit[2]) - 1}.",
            renamed,
        )
    return renamed


def convert_fairmot_checkpoint(
    state_dict: Mapping, arch: str = "dla_34"
) -> OrderedDict[str, Tensor]:
    """Rename the tensors of a published FairMOT checkpoint.

    Args:
        state_dict (Mapping): What the published code saved; see
            :func:`unwrap_checkpoint` for the forms it may have.
        arch (str): Architecture of the checkpoint, one of ``ARCHITECTURES``.

    Returns:
        OrderedDict[str, Tensor]: For ``FairMOT.load_state_dict``. Tensors that the
        published network never uses are left out.

    Raises:
        ValueError: If the architecture is unknown or a tensor is none of its own.
    """
    if arch not in ARCHITECTURES:
        raise ValueError(f"{arch=}: choose one of {', '.join(ARCHITECTURES)}")
    converted, unknown = OrderedDict(), []
    for name, value in unwrap_checkpoint(state_dict).items():
        if _DLA_UNUSED.match(name):
            continue
        renamed = _rename_dla(name)
        if renamed not in _network_names(arch):
            unknown.append(name)
        else:
            converted[renamed] = value
    if unknown:
        raise ValueError(
            f"not a checkpoint of {arch}: {len(unknown)} tensors are not known to it, "
            f"first {', '.join(unknown[:3])}"
        )
    return converted


def load_for_tracking(model: nn.Module, path: str | Path) -> None:
    """Load a checkpoint into a model, strictly on everything tracking needs.

    Args:
        model (nn.Module): The model.
        path (str | Path): File written by training or by the converter.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is no checkpoint or does not fit; names the first tensors
            that are at fault.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"no checkpoint at {path}")
    try:
        # Checkpoints of the runner hold more than tensors, its log among it: those are
        # read as MMEngine reads them, and like any pickle only from whom one trusts.
        checkpoint = torch.load(path, map_location="cpu", weights_only=True)
    except Exception:
        try:
            checkpoint = torch.load(path, map_location="cpu", weights_only=False)
        except Exception as error:
            raise ValueError(f"{path} is no checkpoint: {error}") from error
    own = model.state_dict()
    try:
        state = unwrap_checkpoint(checkpoint)
        model.load_state_dict(state, strict=True)
    except (ValueError, RuntimeError) as error:
        if isinstance(error, ValueError):
            raise ValueError(f"{path}: {error}") from error
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
