"""The weights that the package carries: the light network, trained on street scenes."""

from pathlib import Path

from fairmot_mm.utils.paths import CONFIGS, PACKAGE

# docs/model-card.md says what they learnt from, how well they track, and the licence.
PACKAGED_CONFIG = CONFIGS / "small_data" / "fairmot_yolov5s_576x320.py"
PACKAGED_WEIGHTS = PACKAGE / "weights" / "fairmot_yolov5s_576x320.pth"
# What a config may say: load_from = "fairmot://yolov5s_576x320".
PREFIX = "fairmot://"


def resolve(name: str | Path) -> str | Path:
    """The file of a name that starts with ``fairmot://``; other names as they are.

    Raises:
        FileNotFoundError: The package has no such weights.
    """
    if not str(name).startswith(PREFIX):
        return name
    path = PACKAGED_WEIGHTS.with_name(f"fairmot_{str(name).removeprefix(PREFIX)}.pth")
    if not path.is_file():
        files = sorted(path.parent.glob("*.pth"))
        known = (PREFIX + file.stem.removeprefix("fairmot_") for file in files)
        raise FileNotFoundError(
            f"no weights {name} in the package, which has {', '.join(known)}"
        )
    return path
