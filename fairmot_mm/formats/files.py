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


def write_file(path: Path, data: bytes) -> None:
    """Write a file that is either whole or not there, and create its folder.

    It is written under a temporary name and renamed.

    Raises:
        OSError: It cannot be written, for example because the disk is full; names the
            file. A former file of this name stays.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial")
    try:
        partial.write_bytes(data)
        partial.replace(path)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise OSError(error.errno, error.strerror, str(path)) from error
