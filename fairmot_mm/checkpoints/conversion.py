"""Checkpoints of the published code to ours and back."""

import re
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from torch import Tensor

from .architectures import ARCHITECTURES, BRANCHES, HEAD_NAMES, network_tensors
from .loading import TRAINING_ONLY, unwrap_checkpoint

# What a file holds: all of FairMOT; CenterNet, which has no embedding; or a backbone
# with its ImageNet classifier.
FAIRMOT, DETECTOR, BACKBONE = "FairMOT", "CenterNet detector", "ImageNet backbone"


@dataclass
class ConvertedCheckpoint:
    """A published checkpoint under our names.

    Attributes:
        arch: Its architecture, one of ``ARCHITECTURES``.
        kind: ``FAIRMOT``, ``DETECTOR`` or ``BACKBONE``.
        state_dict: Tensors by our names.
        unused: Tensors by published names that no published forward pass reads.
        epoch: Epochs it was trained for, if the file says so.
        left_out: Entries of the file that are not converted.
    """

    arch: str
    kind: str
    state_dict: OrderedDict[str, Tensor]
    unused: OrderedDict[str, Tensor]
    epoch: int | None = None
    left_out: list[str] = field(default_factory=list)

    def to_file(self) -> dict:
        """What is saved: ``state_dict`` for the runner, the rest for the way back."""
        meta = dict(arch=self.arch, kind=self.kind)
        if self.epoch is not None:
            meta["published_epoch"] = self.epoch
        return dict(state_dict=self.state_dict, meta=meta, unused=self.unused)


def _kind(arch: str, names: Iterable[str]) -> str:
    names = set(names)
    heads = {name.split(".")[0] for name in names} & set(BRANCHES)
    if heads:
        return FAIRMOT if "id" in heads else DETECTOR
    # A part of a whole network is told by its neck, or by what stands before its
    # backbone's names.
    prefixed = bool(ARCHITECTURES[arch].prefix)
    whole = any(
        tensor.published in names and (prefixed or ours.startswith("neck."))
        for ours, tensor in network_tensors(arch).items()
    )
    return FAIRMOT if whole else BACKBONE


def _published_names(arch: str, kind: str) -> dict[str, str]:
    """Our name -> the name in a published file of this kind."""
    if kind == BACKBONE:
        prefix = ARCHITECTURES[arch].prefix
        return {
            ours: tensor.published.removeprefix(prefix)
            for ours, tensor in network_tensors(arch).items()
            if ours.startswith("backbone.")
        }
    names = {ours: t.published for ours, t in network_tensors(arch).items()}
    return names | HEAD_NAMES


def find_architecture(state: Mapping[str, Tensor]) -> str:
    """Find the architecture that most tensors of a published checkpoint fit.

    Args:
        state (Mapping[str, Tensor]): Tensors by published names.

    Returns:
        str: One of ``ARCHITECTURES``; of several that fit alike the smallest, and of
        those the first.

    Raises:
        ValueError: If no tensor belongs to any of them.
    """

    def fit(arch: str) -> tuple[int, int, int]:
        tensors = network_tensors(arch)
        names = _published_names(arch, _kind(arch, state))
        given = {
            ours: state[published]
            for ours, published in names.items()
            if published in state
        }
        shaped = sum(
            ours in tensors and tuple(value.shape) == tensors[ours].shape
            for ours, value in given.items()
        )
        return shaped, len(given), -len(names)

    fits = {arch: fit(arch) for arch in ARCHITECTURES}
    best = max(fits, key=fits.get)
    if fits[best][:2] == (0, 0):
        raise ValueError(
            "not a checkpoint of FairMOT, CenterNet or an ImageNet backbone: none of "
            f"its tensors belongs to {', '.join(ARCHITECTURES)}; first "
            f"{', '.join(list(state)[:3])}"
        )
    return best


def _rename(
    state: Mapping[str, Tensor], arch: str
) -> tuple[str, OrderedDict[str, Tensor], OrderedDict[str, Tensor], list[str]]:
    """Kind, renamed and unused tensors, and names that are not of the architecture."""
    if arch not in ARCHITECTURES:
        raise ValueError(f"{arch=}: choose one of {', '.join(ARCHITECTURES)}")
    kind = _kind(arch, state)
    ours = {published: own for own, published in _published_names(arch, kind).items()}
    unused = re.compile(ARCHITECTURES[arch].unused)
    prefix = ARCHITECTURES[arch].prefix if kind == BACKBONE else ""
    converted, aside, unknown = OrderedDict(), OrderedDict(), []
    for name, value in state.items():
        if name in ours:
            converted[ours[name]] = value
        elif unused.match(prefix + name):
            aside[name] = value
        else:
            unknown.append(name)
    return kind, converted, aside, unknown


def convert_fairmot_checkpoint(
    state_dict: Mapping, arch: str | None = None
) -> OrderedDict[str, Tensor]:
    """Rename the tensors of a published FairMOT checkpoint.

    Args:
        state_dict (Mapping): What the published code saved; see
            :func:`unwrap_checkpoint` for the forms it may have.
        arch (str | None): Architecture of the checkpoint, one of ``ARCHITECTURES``;
            found by itself if None.

    Returns:
        OrderedDict[str, Tensor]: For ``FairMOT.load_state_dict``. Tensors that the
        published network never uses are left out.

    Raises:
        ValueError: If the architecture is unknown or a tensor is none of its own.
    """
    state = unwrap_checkpoint(state_dict)
    arch = arch or find_architecture(state)
    _, converted, _, unknown = _rename(state, arch)
    if unknown:
        raise ValueError(
            f"not a checkpoint of {arch}: {len(unknown)} tensors are not known to it, "
            f"first {', '.join(unknown[:3])}"
        )
    return converted


def convert_published(
    checkpoint: Mapping, arch: str | None = None
) -> ConvertedCheckpoint:
    """Convert what a published file holds, refusing what is not whole.

    Args:
        checkpoint (Mapping): Content of the file.
        arch (str | None): Its architecture; found by itself if None.

    Returns:
        ConvertedCheckpoint: The tensors and what is to be said about them.

    Raises:
        ValueError: If tensors are missing, unknown or of other shapes; names the first.
    """
    state = unwrap_checkpoint(checkpoint)
    arch = arch or find_architecture(state)
    kind, converted, unused, unknown = _rename(state, arch)
    faults = [f"{name} (unknown to it)" for name in unknown]
    names = _published_names(arch, kind)
    for ours, shape in _expected_shapes(arch, kind, converted).items():
        given = converted.get(ours)
        if given is None and not ours.endswith("num_batches_tracked"):
            faults.append(f"{names[ours]} (absent, expected {shape})")
        elif given is not None and tuple(given.shape) != shape:
            faults.append(
                f"{names[ours]} ({tuple(given.shape)} in the file, expected {shape})"
            )
    if faults:
        raise ValueError(
            f"not a whole {kind} checkpoint of {arch}: {', '.join(faults[:3])} and "
            f"{max(len(faults) - 3, 0)} more of its {len(state)} tensors do not fit"
        )
    epoch = checkpoint.get("epoch")
    left_out = []
    inner = checkpoint.get("state_dict", checkpoint)
    if inner is not checkpoint:
        left_out = [str(k) for k in checkpoint if k not in ("state_dict", "epoch")]
    left_out += [
        str(k) for k, v in inner.items() if not isinstance(v, Tensor) and k != "epoch"
    ]
    return ConvertedCheckpoint(
        arch,
        kind,
        converted,
        unused,
        epoch if isinstance(epoch, int) else None,
        left_out,
    )


def _expected_shapes(
    arch: str, kind: str, converted: Mapping[str, Tensor]
) -> dict[str, tuple[int, ...]]:
    """Shapes by our names; a head has as many channels as the file gives it."""
    network = network_tensors(arch)
    if kind == BACKBONE:
        return {
            ours: tensor.shape
            for ours, tensor in network.items()
            if ours.startswith("backbone.")
        }
    shapes = {ours: tensor.shape for ours, tensor in network.items()}
    channels = ARCHITECTURES[arch].out_channels
    for published, ours in BRANCHES.items():
        if published == "id" and kind == DETECTOR:
            continue
        sizes = []
        for layer in (0, 2):
            weight = converted.get(f"{ours}.{layer}.weight")
            sizes.append(1 if weight is None or weight.dim() == 0 else len(weight))
        middle, out = sizes
        shapes[f"{ours}.0.weight"] = (middle, channels, 3, 3)
        shapes[f"{ours}.0.bias"] = (middle,)
        shapes[f"{ours}.2.weight"] = (out, middle, 1, 1)
        shapes[f"{ours}.2.bias"] = (out,)
    classifier = converted.get("reid_head.classifier.weight")
    if classifier is not None:
        embedding = shapes[f"{BRANCHES['id']}.2.weight"][0]
        shapes["reid_head.classifier.weight"] = (len(classifier), embedding)
        shapes["reid_head.classifier.bias"] = (len(classifier),)
    return shapes


def publish(checkpoint: Mapping, arch: str | None = None) -> tuple[dict, list[str]]:
    """Give a checkpoint of ours back to the published code.

    Args:
        checkpoint (Mapping): Content of a file of the runner or of the converter.
        arch (str | None): Its architecture; found by itself if None.

    Returns:
        tuple[dict, list[str]]: What the published code loads, ``epoch`` and
        ``state_dict`` (of an ImageNet backbone its bare tensors), and the names of
        tensors it has no place for.

    Raises:
        ValueError: If the architecture is none of the published ones, or tensors are
            missing, unknown or of other shapes; names the first.
    """
    state = unwrap_checkpoint(checkpoint)
    meta = checkpoint.get("meta", {})
    arch = arch or meta.get("arch") or _find_own_architecture(state)
    if arch not in ARCHITECTURES:
        raise ValueError(f"{arch=}: choose one of {', '.join(ARCHITECTURES)}")
    names = _published_names(arch, meta.get("kind", FAIRMOT))
    left_out = [
        name for name in state if name not in names and name.startswith(TRAINING_ONLY)
    ]
    unknown = [name for name in state if name not in names and name not in left_out]
    published = OrderedDict(
        (names[name], value) for name, value in state.items() if name in names
    )
    if unknown:
        raise ValueError(
            f"not a checkpoint of {arch}: {len(unknown)} tensors are not known to it, "
            f"first {', '.join(unknown[:3])}"
        )
    published.update(checkpoint.get("unused", {}))
    convert_published(published, arch)  # refuses what is not whole
    if meta.get("kind") == BACKBONE:
        return published, left_out
    epoch = meta.get("published_epoch", meta.get("epoch", 0))
    return dict(epoch=epoch, state_dict=published), left_out


def _find_own_architecture(state: Mapping[str, Tensor]) -> str:
    """Find the architecture by our names: every tensor of the network must fit."""
    for arch in ARCHITECTURES:
        if all(
            name in state and tuple(state[name].shape) == tensor.shape
            for name, tensor in network_tensors(arch).items()
        ):
            return arch
    raise ValueError(
        "the network is none of the published ones "
        f"({', '.join(ARCHITECTURES)}), which the published code could load; first "
        f"tensors {', '.join(list(state)[:3])}"
    )
