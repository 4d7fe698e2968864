import json
from pathlib import Path


def annotation_files(folder: Path, pattern: str) -> list[Path]:
    """Annotation files of a folder, sorted, without hidden ones.

    Raises:
        FileNotFoundError: There is none.
    """
    found = [path for path in folder.glob(pattern) if not path.name.startswith(".")]
    if not found:
        raise FileNotFoundError(
            f"{folder}: no annotation file {pattern}; check data_root"
        )
    return sorted(found)


def read_json(path: Path) -> object:
    """Read a JSON file.

    Raises:
        ValueError: ``FILE:LINE`` is no JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8-sig"))
    except json.JSONDecodeError as error:
        what = f"no JSON at column {error.colno}: {error.msg}"
        raise ValueError(f"{path}:{error.lineno}: {what}") from error
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: no text: {error}") from error
