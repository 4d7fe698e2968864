"""A checkpoint hook that loses no training and runs no code of others."""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import ClassVar

import torch
from mmengine.dist import barrier, is_main_process
from mmengine.fileio import LocalBackend, register_backend
from mmengine.hooks import CheckpointHook
from mmengine.model import is_model_wrapper
from mmengine.runner import CheckpointLoader, Runner, find_latest_checkpoint
from torch import Tensor

from fairmot_mm.checkpoints import files
from fairmot_mm.checkpoints.packaged import PREFIX
from fairmot_mm.evaluation.figures import COUNTS, FRACTIONS
from fairmot_mm.formats.writing import write_file
from fairmot_mm.registry import HOOKS


class AtomicBackend(LocalBackend):
    """``LocalBackend`` whose files are complete as soon as they have their names."""

    def put(self, obj: bytes | memoryview, filepath: str | Path) -> None:
        """Write a file; on an ``OSError``, one that was there before stays."""
        write_file(Path(filepath), obj, durable=True)


_BACKEND = "fairmot_mm.atomic"
register_backend(_BACKEND, AtomicBackend, force=True)


@CheckpointLoader.register_scheme(prefixes=PREFIX, force=True)
def load_packaged(filename: str, *args: object, **kwargs: object) -> dict:
    """Let ``load_from="fairmot://NAME"`` name weights of the package."""
    return dict(files.read_checkpoint(filename))


@HOOKS.register_module()
class SafeCheckpointHook(CheckpointHook):
    """``CheckpointHook`` for checkpoints that are complete, fit and hide no code.

    Files are written under another name and then renamed. Before MMEngine loads a file
    from disk or a URL (``load_from``, ``resume``, ``init_cfg``), its checksums and
    types are checked; ``resume`` passes over damaged files to the newest intact one. A
    training does not resume with another model or optimiser than it was saved with.
    ``save_best`` knows which figures of tracking are better when they are lower.

    Args:
        trust_checkpoint: Whether files that are loaded may run code hidden in them.
        **kwargs: For ``CheckpointHook``.
    """

    _default_greater_keys: ClassVar = [
        *CheckpointHook._default_greater_keys,
        *FRACTIONS,
        "MT",
    ]
    _default_less_keys: ClassVar = [*CheckpointHook._default_less_keys, *COUNTS]

    def __init__(self, *, trust_checkpoint: bool = False, **kwargs: object) -> None:
        kwargs.setdefault("backend_args", dict(backend=_BACKEND))
        super().__init__(**kwargs)
        self.trust_checkpoint = trust_checkpoint

    def before_run(self, runner: Runner) -> None:
        """Check what the runner is about to load.

        Raises:
            FileNotFoundError: If a file is missing.
            ValueError: If a file is damaged or may run code.
        """
        path = runner.cfg.get("load_from")
        if path is None and runner.cfg.get("resume"):
            path = self._find_intact(runner)
        for name in filter(None, (path, *_pretrained(runner.cfg.get("model", {})))):
            if "://" not in name or files.is_url(name) or name.startswith(PREFIX):
                files.read_checkpoint(name, self.trust_checkpoint)
        # MMEngine 0.10.7 leaves to PyTorch what a file may refer to. After our own
        # reading, at whose end PyTorch forgets these types.
        torch.serialization.add_safe_globals(files.safe_types())
        if self.trust_checkpoint:
            os.environ["TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD"] = "1"

    def _find_intact(self, runner: Runner) -> str | None:
        """The checkpoint to resume from; MMEngine is pointed to it."""
        named = find_latest_checkpoint(runner.work_dir)
        paths = [Path(named)] if named else []
        folder = paths[0].parent if paths else Path(runner.work_dir)
        saved = folder.glob(self.filename_tmpl.format("*"))
        paths += sorted(saved, key=lambda path: path.stat().st_mtime, reverse=True)
        if not paths:
            return None
        for path in paths:
            damage = files.find_damage(path) if path.is_file() else "no such file"
            if damage is None:
                break
            runner.logger.warning(f"cannot resume from {path}: {damage}")
        else:
            raise ValueError(f"cannot resume: no intact checkpoint in {folder}")
        barrier()  # every process has read what the first is about to write
        if is_main_process() and str(path) != named:
            pointer = Path(runner.work_dir) / "last_checkpoint"
            write_file(pointer, str(path).encode(), durable=True)
        barrier()
        return str(path)

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Refuse to resume with something else than was saved.

        Raises:
            ValueError: If tensors of the model or state of the optimiser do not fit.
        """
        if not self.trust_checkpoint:
            # MMEngine would run this text as a config.
            checkpoint.get("meta", {}).pop("config", None)
        if not runner.cfg.get("resume"):
            return
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        saved, own = checkpoint.get("optimizer", {}), runner.optim_wrapper.state_dict()
        differences = [
            *_differences(checkpoint.get("state_dict", checkpoint), model.state_dict()),
            *_optimizer_differences(saved, own),
        ]
        if differences:
            raise ValueError(
                f"cannot resume: {differences[0]} and {len(differences) - 1} more "
                "differences between checkpoint and config. To train on from the "
                "weights alone, set load_from to the checkpoint instead of resuming"
            )

    def after_val_epoch(
        self, runner: Runner, metrics: dict[str, float] | None = None
    ) -> None:
        """Save the best checkpoint, if the validation has the figure to choose by."""
        if not self.save_best or not hasattr(self, "file_backend"):
            return  # the latter in Runner.val, where MMEngine's hook fails
        if metrics and {*self.save_best} <= {"auto", *metrics}:
            super().after_val_epoch(runner, metrics)
            return
        runner.logger.warning(
            f"this validation chooses no best checkpoint: save_best is "
            f"{self.save_best}, the figures are {', '.join(metrics or ()) or 'none'}"
        )


# Options by which optimisers differ in what they keep of a parameter.
_OPTIONS = {"betas", "momentum", "alpha", "lambd", "rho"}


def _pretrained(cfg: object) -> Iterator[str]:
    """Files from which parts of a model are initialised."""
    if isinstance(cfg, Mapping):
        if cfg.get("type") == "Pretrained":
            yield cfg["checkpoint"]
        cfg = [*cfg.values()]
    if isinstance(cfg, list | tuple):
        for item in cfg:
            yield from _pretrained(item)


def _differences(
    saved: Mapping[str, Tensor], current: Mapping[str, Tensor]
) -> Iterator[str]:
    for name in dict.fromkeys((*current, *saved)):
        there, here = (
            tuple(state[name].shape) if name in state else None
            for state in (saved, current)
        )
        if there == here:
            continue
        if "classifier" in name and there and here:
            yield (
                f"{there[0]} identities in the checkpoint, {here[0]} in the training "
                f"data ({name})"
            )
        else:
            yield f"{name} {_place(there)} in the checkpoint, {_place(here)} here"


def _place(shape: tuple[int, ...] | None) -> str:
    return "is absent" if shape is None else f"has the shape {shape}"


def _optimizer_differences(saved: Mapping, current: Mapping) -> Iterator[str]:
    """Differences that PyTorch would not notice, or would not name."""
    there, here = (state.get("param_groups") for state in (saved, current))
    if not there or not here:
        return  # not saved, or several optimisers
    sizes, own_sizes = ([len(group["params"]) for group in gs] for gs in (there, here))
    if sizes != own_sizes:
        yield f"groups of {sizes} parameters in the checkpoint, of {own_sizes} here"
    kind, own_kind = (_OPTIONS.intersection(groups[0]) for groups in (there, here))
    if kind != own_kind:
        options, own = (", ".join(k) or "other options" for k in (kind, own_kind))
        yield f"an optimiser with {options} in the checkpoint, with {own} here"
