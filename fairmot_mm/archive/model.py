"""The network that an archive is tracked with, as workers on any machine need it."""

import copy
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from mmengine.config import Config

from fairmot_mm.checkpoints.files import checkpoint_file
from fairmot_mm.checkpoints.packaged import PACKAGED_CONFIG, PACKAGED_WEIGHTS
from fairmot_mm.deployment import is_exported
from fairmot_mm.deployment.backends import read_metadata

_KEPT_FRAMES = 30  # JDETracker's num_frames_retain where the config doesn't say


@dataclass(frozen=True)
class ModelFiles:
    """Config and checkpoint, read.

    Attributes:
        config: The config as a dictionary.
        checkpoint: Name of the checkpoint among ``files``; None for random weights.
        files: The checkpoint, with what belongs to it, by name.
    """

    config: dict
    checkpoint: str | None
    files: Mapping[str, bytes]

    @property
    def config_digest(self) -> str:
        """Differs between configs that may give other tracks."""
        data = self.config.get("test_dataloader", {}).get("dataset", {})
        parts = [self.config.get("model")]
        parts += [data.get(key) for key in ("pipeline", "input_size")]
        text = json.dumps(parts, sort_keys=True, default=str)
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    @property
    def weights_digest(self) -> str | None:
        """Differs between checkpoints; None for random weights."""
        digest = hashlib.sha256()
        for _, content in sorted(self.files.items()):
            digest.update(content)
        return digest.hexdigest()[:12] if self.files else None

    @property
    def kept_frames(self) -> int:
        """For how many frames, at 30 a second, the tracker keeps a lost track."""
        tracker = self.config["model"].get("tracker") or {}
        return tracker.get("num_frames_retain", _KEPT_FRAMES)


def read_model(
    config: str | Path | Config | None,
    checkpoint: str | Path | None,
    cfg_options: dict | None = None,
) -> ModelFiles:
    """Read config and checkpoint; see :func:`init_model`.

    Raises:
        FileNotFoundError: One of them is missing.
        OSError: The checkpoint cannot be downloaded.
        ValueError: An exported model carries no config.
    """
    if config is None and checkpoint is None:
        checkpoint = PACKAGED_WEIGHTS
    path = None if checkpoint is None else checkpoint_file(checkpoint)
    if isinstance(config, Config):
        cfg = copy.deepcopy(config)  # the caller's is not changed
    elif config is None and path is not None and is_exported(path):
        cfg = Config(read_metadata(path).config)
    else:
        cfg = Config.fromfile(config or PACKAGED_CONFIG)
    cfg.merge_from_dict(cfg_options or {})
    files = {}
    if path is not None:
        # OpenVINO's and ONNX's weights may be in a file beside.
        beside = [path.with_suffix(".bin"), path.with_name(f"{path.name}.data")]
        others = beside if is_exported(path) else []
        files = {x.name: x.read_bytes() for x in [path, *others] if x.is_file()}
    return ModelFiles(cfg.to_dict(), None if path is None else path.name, files)
