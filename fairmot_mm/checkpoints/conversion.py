"""Checkpoints of the reference implementation to ours and back."""

import re
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from torch import Tensor

from .architectures import ARCHITECTURES, BRANCHES, HEAD_NAMES
from .loading import TRAINING_ONLY, unwrap_checkpoint

# What a file holds: all of FairMOT; CenterNet, which has no embedding; or a backbone
# with its ImageNet classifier.
FAIRMOT, DETECTOR, BACKBONE = "FairMOT", "CenterNet detector", "ImageNet backbone"


@dataclass
class ConvertedCheckpoint:
    """A published checkpoint under our names.

    Attributes:
        arch: One of ``ARCHITECTURES``.
        kind: ``FAIRMOT``, ``DETECTOR`` or ``BACKBONE``.
        state_dict: Tensors by our names.
        unused: Tensors by published names that no forward pass reads.
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
        meta: dict[str, str | int] = dict(arch=self.arch, kind=self.kind)
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
    network = ARCHITECTURES[arch]
    whole = any(
        published in names and (network.prefix or ours.startswith("neck."))
        for ours, published in network.names.items()
    )
    return FAIRMOT if whole else BACKBONE


def _published_names(arch: str, kind: str) -> dict[str, str]:
    """Our name -> the name in a published file of this kind."""
    network = ARCHITECTURES[arch]
    if kind != BACKBONE:
        return network.names | HEAD_NAMES
    return {
        ours: published.removeprefix(network.prefix)
        for ours, published in network.names.items()
        if ours.startswith("backbone.")
    }


def _find_architecture(state: Mapping[str, Tensor]) -> str:
    """The one that most tensors fit; of several the smallest, of those the first."""

    def fit(arch: str) -> tuple[int, int, int]:
        names = _published_names(arch, _kind(arch, state))
        given = {
            ours: tuple(state[published].shape)
            for ours, published in names.items()
            if published in state
        }
        shaped = given.items() & ARCHITECTURES[arch].shapes.items()
        return len(shaped), len(given), -len(names)

    fits = {arch: fit(arch) for arch in ARCHITECTURES}
    best = max(fits, key=lambda arch: fits[arch])
    if fits[best][:2] == (0, 0):
        raise ValueError(
            "not a checkpoint of FairMOT, CenterNet or an ImageNet backbone: none of "
            f"its tensors belongs to {', '.join(ARCHITECTURES)}; first "
            f"{', '.join(list(state)[:3])}"
        )
    return best


def _rename(
    checkpoint: Mapping, arch: str | None
) -> tuple[ConvertedCheckpoint, list[str]]:
    """Rename the tensors of a published checkpoint; also the names unknown to us."""
    state = unwrap_checkpoint(checkpoint)
    arch = arch or _find_architecture(state)
    _check_known(arch)
    kind = _kind(arch, state)
    ours = {published: own for own, published in _published_names(arch, kind).items()}
    network = ARCHITECTURES[arch]
    prefix = network.prefix if kind == BACKBONE else ""
    converted = ConvertedCheckpoint(arch, kind, OrderedDict(), OrderedDict())
    unknown = []
    for name, value in state.items():
        if name in ours:
            converted.state_dict[ours[name]] = value
        elif re.match(network.unused, prefix + name):
            converted.unused[name] = value
        else:
            unknown.append(name)
    return converted, unknown


def _check_known(arch: str, unknown_tensors: Sequence[str] = ()) -> None:
    if arch not in ARCHITECTURES:
        raise ValueError(f"{arch=}: choose one of {', '.join(ARCHITECTURES)}")
    if unknown_tensors:
        raise ValueError(
            f"not a checkpoint of {arch}: {len(unknown_tensors)} tensors are not known "
            f"to it, first {', '.join(unknown_tensors[:3])}"
        )


def convert_fairmot_checkpoint(
    state_dict: Mapping, arch: str | None = None
) -> OrderedDict[str, Tensor]:
    """Rename the tensors of a published FairMOT checkpoint.

    Args:
        state_dict: What the reference implementation saved, in any form that
            :func:`unwrap_checkpoint` takes.
        arch: One of ``ARCHITECTURES``; detected if None.

    Returns:
        Tensors for ``FairMOT.load_state_dict``, without those that the published
        network never uses.

    Raises:
        ValueError: If the architecture is unknown or a tensor is none of its own.
    """
    converted, unknown = _rename(state_dict, arch)
    _check_known(converted.arch, unknown)
    return converted.state_dict


def convert_published(
    checkpoint: Mapping, arch: str | None = None
) -> ConvertedCheckpoint:
    """Convert the content of a published file, refusing an incomplete one.

    ``arch`` is one of ``ARCHITECTURES``, detected if None.

    Raises:
        ValueError: If tensors are missing, unknown or of other shapes; names the first.
    """
    converted, unknown = _rename(checkpoint, arch)
    arch, kind, state = converted.arch, converted.kind, converted.state_dict
    errors = [f"{name} (unknown to it)" for name in unknown]
    names = _published_names(arch, kind)
    for ours, shape in _expected_shapes(arch, kind, state).items():
        given = tuple(state[ours].shape) if ours in state else None
        if given is None and not ours.endswith("num_batches_tracked"):
            errors.append(f"{names[ours]} (absent, expected {shape})")
        elif given not in (None, shape):
            errors.append(f"{names[ours]} ({given} in the file, expected {shape})")
    if errors:
        raise ValueError(
            f"not a complete {kind} checkpoint of {arch}: {', '.join(errors[:3])} and "
            f"{max(len(errors) - 3, 0)} more tensors do not fit"
        )
    epoch = checkpoint.get("epoch")
    converted.epoch = epoch if isinstance(epoch, int) else None
    entries = {**checkpoint, **checkpoint.get("state_dict", {})}
    converted.left_out = [
        str(key)
        for key, value in entries.items()
        if key not in ("epoch", "state_dict") and not isinstance(value, Tensor)
    ]
    return converted


def _expected_shapes(
    arch: str, kind: str, converted: Mapping[str, Tensor]
) -> dict[str, tuple[int, ...]]:
    """Shapes by our names; a head has as many channels as the file gives it."""
    network = ARCHITECTURES[arch]
    if kind == BACKBONE:
        return {k: v for k, v in network.shapes.items() if k.startswith("backbone.")}

    def outputs(layer: str) -> int:
        weight = converted.get(f"{layer}.weight")
        return 1 if weight is None or weight.dim() == 0 else len(weight)

    shapes = dict(network.shapes)
    channels = network.model.bbox_head.in_channels
    for published, ours in BRANCHES.items():
        if published == "id" and kind == DETECTOR:
            continue
        middle, out = outputs(f"{ours}.0"), outputs(f"{ours}.2")
        shapes[f"{ours}.0.weight"] = (middle, channels, 3, 3)
        shapes[f"{ours}.0.bias"] = (middle,)
        shapes[f"{ours}.2.weight"] = (out, middle, 1, 1)
        shapes[f"{ours}.2.bias"] = (out,)
    if "reid_head.classifier.weight" in converted:
        identities = outputs("reid_head.classifier")
        embedding = outputs(f"{BRANCHES['id']}.2")
        shapes["reid_head.classifier.weight"] = (identities, embedding)
        shapes["reid_head.classifier.bias"] = (identities,)
    return shapes


def publish(checkpoint: Mapping, arch: str | None = None) -> tuple[dict, list[str]]:
    """Convert the content of a file of the runner or of the converter back.

    ``arch`` is one of ``ARCHITECTURES``, detected if None.

    Returns:
        What the reference implementation loads, ``epoch`` and ``state_dict`` (of an
        ImageNet backbone its bare tensors), and the names of tensors it has no place
        for.

    Raises:
        ValueError: If the architecture is none of the published ones, or tensors are
            missing, unknown or of other shapes; names the first.
    """
    state = unwrap_checkpoint(checkpoint)
    meta = checkpoint.get("meta", {})
    arch = arch or meta.get("arch") or _find_own_architecture(state)
    _check_known(arch)
    names = _published_names(arch, meta.get("kind", FAIRMOT))
    others = [name for name in state if name not in names]
    left_out = [name for name in others if name.startswith(TRAINING_ONLY)]
    _check_known(arch, [name for name in others if name not in left_out])
    published = {names[name]: state[name] for name in state if name in names}
    published.update(checkpoint.get("unused", {}))
    convert_published(published, arch)  # refuses an incomplete one
    if meta.get("kind") == BACKBONE:
        return published, left_out
    epoch = meta.get("published_epoch", meta.get("epoch", 0))
    return dict(epoch=epoch, state_dict=published), left_out


def _find_own_architecture(state: Mapping[str, Tensor]) -> str:
    """The architecture, by our names: every tensor of the network must fit."""
    shapes = {name: tuple(value.shape) for name, value in state.items()}
    for arch, network in ARCHITECTURES.items():
        if network.shapes.items() <= shapes.items():
            return arch
    raise ValueError(
        f"the network is none of those that the reference implementation can load "
        f"({', '.join(ARCHITECTURES)}); first tensors {', '.join(list(state)[:3])}"
    )
