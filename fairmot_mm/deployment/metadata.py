"""What an exported file knows of the model it was made of."""

import ast
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from mmengine.config import Config

from fairmot_mm.version import __version__

# Training is over.
_LEFT_OUT = (
    *("train_", "val_", "optim_wrapper", "param_scheduler", "auto_scale_lr"),
    *("custom_hooks", "load_from", "resume", "work_dir", "launcher"),
)
# A registry imports what any other name stands for, and files come from anywhere.
_REGISTERED = re.compile(r"((fairmot_mm|mmcv|mmdet|mmengine)\.)?[A-Za-z]\w*")


@dataclass(frozen=True)
class Metadata:
    """The metadata of an exported file.

    Attributes:
        config: The model's config without what only training reads.
        input_hw: Height and width of the network input in pixels.
        map_hw: Height and width of its maps in cells.
        classes: Names of the classes.
        precision: ``float32`` or ``int8``.
    """

    config: dict
    input_hw: tuple[int, int]
    map_hw: tuple[int, int]
    classes: tuple[str, ...]
    precision: str

    @property
    def input_size(self) -> str:
        """Width and height, as ``576x320``."""
        return "x".join(map(str, self.input_hw[::-1]))

    def to_strings(self) -> dict[str, str]:
        """The metadata as a file carries them.

        Raises:
            ValueError: If the config holds what cannot be written as text.
        """
        tracker = self.config.get("model", {}).get("tracker") or {}
        strings = dict(
            fairmot_mm=__version__,
            input_size=self.input_size,
            map_size="x".join(map(str, self.map_hw[::-1])),
            classes=json.dumps(self.classes),
            precision=self.precision,
            obj_score_thr=str(tracker.get("obj_score_thr", "")),
            config=repr(self.config),
        )
        try:
            ast.literal_eval(strings["config"])
        except (SyntaxError, ValueError) as error:
            raise ValueError(
                "the config cannot travel in the exported file: it holds more than "
                f"plain values and registered names ({error})"
            ) from error
        return strings

    @classmethod
    def from_strings(cls, strings: Mapping[str, str], path: object) -> "Metadata":
        """Read what :meth:`to_strings` wrote, without running any code of it.

        Args:
            strings: The metadata of the file.
            path: The file, for errors.

        Raises:
            ValueError: If they are missing or damaged, or the config names a component
                that is no registered one.
        """
        if "fairmot_mm" not in strings:
            raise ValueError(
                f"{path}: not exported by fairmot_mm, its metadata are missing: make "
                "it by tools/deployment/export.py"
            )
        try:
            sizes = (strings[key].split("x") for key in ("input_size", "map_size"))
            (input_w, input_h), (map_w, map_h) = (map(int, size) for size in sizes)
            metadata = cls(
                config=ast.literal_eval(strings["config"]),
                input_hw=(input_h, input_w),
                map_hw=(map_h, map_w),
                classes=tuple(json.loads(strings["classes"])),
                precision=strings["precision"],
            )
        except (KeyError, SyntaxError, ValueError) as error:
            raise ValueError(
                f"{path}: damaged metadata ({type(error).__name__}: {error}): export "
                "the model again"
            ) from error
        for name in _component_names(metadata.config):
            if not isinstance(name, str) or not _REGISTERED.fullmatch(name):
                raise ValueError(
                    f"{path}: its config names the component {name!r}, which is none "
                    "of this package or the toolboxes: give a config of your own"
                )
        return metadata


def tracking_config(cfg: Config, input_size: tuple[int, int]) -> dict:
    """What of a config travels in an exported file.

    Args:
        cfg: The model's config.
        input_size: Width and height of the network input.
    """
    config = {
        key: value
        for key, value in cfg.to_dict().items()
        if not key.startswith(_LEFT_OUT)
    }
    config["test_dataloader"]["dataset"]["input_size"] = tuple(input_size)
    return config


def _component_names(value: object) -> Iterator[object]:
    """What stands as ``type`` in a config."""
    if isinstance(value, dict):
        if "type" in value:
            yield value["type"]
        for item in value.values():
            yield from _component_names(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _component_names(item)
