import json
from pathlib import Path


def annotation_files(folder: Path, pattern: str) -> list[Path]:
    """Files of a folder, sorted, without hidden ones; FileNotFoundError if none."""
    found = [path for path in folder.glob(pattern) if not path.name.startswith(".")]
    if not found:
        raise FileNotFoundError(
            f"{folder}: no annotation file {pattern}; check data_root"
        )
    return sorted(found)


def is_file_name(text: str) -> bool:
    """Whether a text is the name of a file on any system, and not a path."""
    forbidden = set(text) & set("/\\:")
    return text.isprintable() and text.strip() not in ("", ".", "..") and not forbidden


def read_text(path: Path) -> str:
    """Read a text file; ValueError names the line that is not UTF-8."""
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise ValueError(f"{path}:{line}: not UTF-8 text: {error}") from error


def read_json(path: Path) -> object:
    """Read a JSON file; ValueError names the line that is not JSON."""
    text = read_text(path)
    try:
        return parse_json(text)
    except json.JSONDecodeError as error:
        what = f"no JSON at column {error.colno}: {error.msg}"
        raise ValueError(f"{path}:{error.lineno}: {what}") from error
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path}: {error}") from error


def parse_json(text: str) -> object:
    """Parse JSON; ValueError if it has NaN, infinity or a key twice in an object."""
    return json.loads(text, parse_constant=_refuse, object_pairs_hook=_unique_keys)


def json_number(value: object) -> float:
    """A number of a JSON file; ValueError if it is something else, or too large."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"{value!r} is not a number")
    if abs(value) > 2**53:  # past this, float64 skips whole numbers
        raise ValueError(f"{value!r} is too large")
    return float(value)


def _refuse(name: str) -> object:
    raise ValueError(f"{name} is no JSON, expected a finite number")


def _unique_keys(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise ValueError(f"key {twice!r} is twice in an object, expected once")
    return found
