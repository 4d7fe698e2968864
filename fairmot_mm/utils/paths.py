"""Where configs and tools are, in a checkout and in an installed wheel."""

from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[1]


def _folder(name: str) -> Path:
    """A folder that a wheel carries in the package; a checkout may only link to it."""
    packaged = PACKAGE / ".mim" / name
    return packaged if packaged.is_dir() else PACKAGE.parent / name


CONFIGS, TOOLS = _folder("configs"), _folder("tools")
