"""Which videos an archive has: a folder, a pattern, a list or a table of them."""

import csv
import io
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Any

import fsspec

SUFFIXES = (
    *(".avi", ".flv", ".h264", ".h265", ".m2ts", ".m4v", ".mjpg", ".mkv", ".mov"),
    *(".mp4", ".mpeg", ".mpg", ".mts", ".ts", ".webm", ".wmv"),
)
_COLUMNS = ("video", "camera", "start")
# 20261127T080000Z, 2026-11-27_08-00-00, 2026-11-27 08.00.00 and the like.
_TIMESTAMP = re.compile(
    r"(?<!\d)(\d{4})-?(\d\d)-?(\d\d)[T_ -]?(\d\d)[-:._]?(\d\d)[-:._]?(\d\d)Z?(?!\d)"
)


@dataclass(frozen=True)
class Video:
    """A video of an archive.

    Attributes:
        name: What it is called in the results; no two have the same.
        address: File, or address of any file system that fsspec knows.
        camera: Which camera took it.
        start: When it began, with a time zone; None if neither list nor name tell.
        size: Bytes, by which a file that changed is noticed; None if not known.
    """

    name: str
    address: str
    camera: str
    start: datetime | None = None
    size: int | None = None


def find_videos(source: str) -> tuple[list[Video], int]:
    """Find the videos of an archive.

    Cameras are named by the list, by the folder right below ``source``, or else by the
    file's name without its timestamp. The start is taken from the list or from a
    timestamp in the name, which is in UTC.

    Args:
        source: Folder, searched with all below it; pattern with ``*``; ``.txt`` with an
            address per line; ``.csv`` with the columns ``video`` and, if wanted,
            ``camera`` and ``start`` (ISO 8601 with time zone); or one video. Any of
            these may be an address of fsspec, such as ``s3://recordings/2026``.

    Returns:
        The videos, sorted by name, and the number of files passed over, as their names
        are no video's.

    Raises:
        FileNotFoundError: There is no such source, or no video in it.
        ImportError: fsspec needs a package for this kind of address.
        ValueError: A list is malformed (``FILE:LINE``), or names a video twice.
    """
    files, path = _file_system(source)
    suffix = PurePosixPath(path).suffix.lower()
    passed_over = 0
    if any(sign in path for sign in "*?["):
        root = re.split(r"[*?\[]", path)[0].rpartition("/")[0]
        found = files.glob(path, detail=True)
        videos = list(_in_folder(files, root, found, ()))
    elif files.isdir(path):
        found = files.find(path, detail=True)
        videos = list(_in_folder(files, path, found, SUFFIXES))
        passed_over = len(found) - len(videos)
    elif not files.exists(path):
        raise FileNotFoundError(
            f"{source}: no such folder, list or video; a pattern has *, as 'rec/*.mp4'"
        )
    elif suffix in (".csv", ".txt"):
        text = files.cat_file(path)
        videos = list(_listed(source, text, suffix == ".csv"))
    else:
        videos = [_named(PurePosixPath(path).name, source, "", files.size(path))]
    if not videos:
        raise FileNotFoundError(f"{source}: no video in it ({', '.join(SUFFIXES)})")
    return sorted(videos, key=lambda video: video.name), passed_over


def is_local(address: str) -> bool:
    """Whether an address is a file of this machine, or of a drive it has mounted."""
    return "://" not in address


def _file_system(address: str) -> tuple[Any, str]:
    """The file system of an address, and the path in it.

    Raises:
        ImportError: A package is missing for it.
        ValueError: fsspec does not know this kind.
    """
    try:
        return fsspec.url_to_fs(address)
    except (ImportError, ValueError) as error:
        raise type(error)(f"{address}: {error}") from error


def _in_folder(
    files: Any,  # noqa: ANN401  (fsspec's file system)
    root: str,
    found: Mapping[str, Mapping[str, Any]],
    suffixes: tuple[str, ...],
) -> Iterator[Video]:
    local = "file" in files.protocol
    for path, info in found.items():
        name = PurePosixPath(path)
        hidden = name.name.startswith(".")
        other = bool(suffixes) and name.suffix.lower() not in suffixes
        if info["type"] != "file" or hidden or other:
            continue
        relative = path.removeprefix(root).lstrip("/")
        address = path if local else files.unstrip_protocol(path)
        first, slash, _ = relative.partition("/")
        yield _named(relative, address, first if slash else "", info.get("size"))


def _named(name: str, address: str, camera: str, size: int | None) -> Video:
    """A video whose camera and start its name tells, where nothing else does."""
    stem = PurePosixPath(name).stem
    start = None
    if match := _TIMESTAMP.search(stem):
        with suppress(ValueError):  # digits that are no date
            start = datetime.strptime("".join(match.groups()), "%Y%m%d%H%M%S")
            start = start.replace(tzinfo=UTC)
    if start is not None and match is not None:
        stem = (stem[: match.start()] + stem[match.end() :]).strip("-_. ")
    return Video(name, address, folder_name(camera or stem or "camera"), start, size)


def folder_name(text: str) -> str:
    """A text as a part of a path, on any system."""
    return re.sub(r"[^\w.-]+", "_", text).lstrip(".") or "_"


def _listed(source: str, content: bytes, is_table: bool) -> Iterator[Video]:
    """The videos of a list or a table.

    Raises:
        ValueError: A line is malformed, or repeats a video.
    """
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ValueError(f"{source}:{line}: not UTF-8 text: {error}") from error
    seen: dict[str, int] = {}
    rows = _table_rows(source, text) if is_table else _list_rows(text)
    for line, row in rows:
        name = row["video"]
        if name in seen:
            raise ValueError(
                f"{source}:{line}: {name} is on line {seen[name]} already, expected "
                "once"
            )
        seen[name] = line
        address = _resolve(source, name)
        size = None
        with suppress(OSError, ImportError, ValueError):  # probing says what is wrong
            files, path = fsspec.url_to_fs(address)
            size = files.size(path)
        video = _named(name, address, row["camera"], size)
        start = video.start if not row["start"] else _time(source, line, row["start"])
        yield Video(name, address, video.camera, start, size)


def _table_rows(source: str, text: str) -> Iterator[tuple[int, dict[str, str]]]:
    reader = csv.DictReader(io.StringIO(text), strict=True)
    names = [name.strip() for name in reader.fieldnames or ()]
    reader.fieldnames = names
    if "video" not in names or set(names) - set(_COLUMNS):
        raise ValueError(
            f"{source}:1: the columns are {', '.join(names) or 'none'}; expected "
            "video and, if wanted, camera and start"
        )
    try:
        for row in reader:
            cells = {key: (row.get(key) or "").strip() for key in _COLUMNS}
            if None in row or not cells["video"]:
                raise ValueError(
                    f"{source}:{reader.line_num}: expected {', '.join(names)}"
                )
            yield reader.line_num, cells
    except csv.Error as error:
        raise ValueError(f"{source}:{reader.line_num}: {error}") from error


def _list_rows(text: str) -> Iterator[tuple[int, dict[str, str]]]:
    for number, line in enumerate(text.splitlines(), 1):
        if (name := line.strip()) and not name.startswith("#"):
            yield number, dict(video=name, camera="", start="")


def _resolve(source: str, name: str) -> str:
    """Where a line's video is: relative names are relative to the list."""
    if "://" in name or Path(name).is_absolute():
        return name
    folder, slash, _ = source.rpartition("/")
    return f"{folder}{slash}{name}"


def _time(source: str, line: int, text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise ValueError(
            f"{source}:{line}: start {text!r}: expected 2026-11-27T08:00:00Z"
        ) from error
    if moment.tzinfo is None:
        raise ValueError(
            f"{source}:{line}: start {text} has no time zone: give one, as in {text}Z"
        )
    return moment.astimezone(UTC)
