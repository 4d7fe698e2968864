"""Where configs and tools are, in a checkout and in an installed wheel."""

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parents[1]


def config_dir() -> Path:
    """The folder of the configs that the package brings."""
    packaged = _PACKAGE / ".mim" / "configs"
    return packaged if packaged.is_dir() else _PACKAGE.parent / "configs"
