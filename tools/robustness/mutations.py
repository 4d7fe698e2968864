"""Damage annotation files at random and check what the readers make of them.

Every damaged file must be refused by an error that names it, or be read to exactly what
it says now, as a second, strict parser understands it. Anything else is a failure:
another exception, or a value that changes or vanishes silently.
"""

import argparse
import functools
import json
import logging
import posixpath
import re
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.logging import MMLogger
from rich.console import Console
from rich.table import Table

import fairmot_mm
from fairmot_mm.datasets import (
    COCOVideoFrameDataset,
    FootageFrameDataset,
    JDEFrameDataset,
)
from fairmot_mm.formats.images import write_image
from fairmot_mm.formats.mot import read_gt, read_sequence
from fairmot_mm.formats.mot_results import read_results

Rows = list[tuple[Any, ...]]
FRAMES, WIDTH, HEIGHT = 6, 64, 48
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_SEQINFO = {
    "name": "SEQ",
    "imDir": "img1",
    "frameRate": "25",
    "seqLength": str(FRAMES),
    "imWidth": str(WIDTH),
    "imHeight": str(HEIGHT),
    "imExt": ".jpg",
}


class MalformedError(ValueError):
    """The strict parser found that a file does not hold what it should."""


@dataclass(frozen=True)
class Format:
    """A kind of file.

    Attributes:
        path: The file that is damaged, below a sample's folder.
        read: What our reader makes of a sample's folder.
        parse: What the file says, strictly; raises :class:`MalformedError`.
        has_lines: Whether an error can name a line.
    """

    path: str
    read: Callable[[Path], Rows]
    parse: Callable[[str], Rows]
    has_lines: bool = True


def main() -> None:
    """Damage files of every format and print what happened."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=1000, help="files of each format")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, help="file for the counts, as JSON")
    args = parser.parse_args()
    counts = {name: run(name, args.count, args.seed) for name in FORMATS}
    table = Table(title=f"{args.count} damaged files of each format, seed {args.seed}")
    table.add_column("format")
    columns = list(dict.fromkeys(key for count in counts.values() for key in count))
    for column in columns:
        table.add_column(column, justify="right")
    for name, count in counts.items():
        table.add_row(name, *(str(count[column]) for column in columns))
    Console().print(table)
    if args.out is not None:
        args.out.write_text(json.dumps(counts, indent=1))
    sys.exit(any(count["failed"] for count in counts.values()))


def run(name: str, count: int, seed: int) -> Counter[str]:
    """Damage a file ``count`` times; failures are printed.

    Returns:
        How often the outcome was ``same``, ``as it says now``, ``refused``, ``failed``.
    """
    outcomes = Counter({"same": 0, "as it says now": 0, "refused": 0, "failed": 0})
    for logger in (MMLogger.get_current_instance(), logging.getLogger()):
        logger.setLevel(logging.CRITICAL)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        write_sample(root)
        form = FORMATS[name]
        target = root / form.path
        original = target.read_bytes()
        before = form.read(root)
        for number in range(count):
            rng = np.random.default_rng((seed, number))
            damaged, harmless = damage(original, rng)
            target.write_bytes(damaged)
            outcome, reason = judge(form, root, damaged, before, harmless)
            outcomes[outcome] += 1
            if outcome == "failed":
                print(f"{name}, {number}: {reason}\n{damaged!r}", file=sys.stderr)
        target.write_bytes(original)
    return outcomes


def judge(
    form: Format, root: Path, damaged: bytes, before: Rows, harmless: bool
) -> tuple[str, str]:
    """Outcome of reading a damaged file, and why it failed."""
    expected: Rows | None
    try:
        expected = form.parse(damaged.decode("utf-8-sig"))
    except (MalformedError, UnicodeDecodeError):
        expected = None
    try:
        found = form.read(root)
    except (ValueError, OSError) as error:
        name = Path(form.path).name
        if harmless:
            return "failed", f"refused without need: {error}"
        if name not in str(error):
            return "failed", f"the error does not name the file: {error}"
        whole_file = re.search(r"empty|\bkey\b|no section|no text", str(error))
        if form.has_lines and not whole_file and f"{name}:" not in str(error):
            return "failed", f"the error does not name the line: {error}"
        return "refused", ""
    except Exception as error:
        return "failed", f"{type(error).__name__}: {error}"
    if expected is None:
        return "failed", f"malformed, but read as {found}"
    if found != expected:
        return "failed", f"read as {found}, but it says {expected}"
    return "same" if found == before else "as it says now", ""


def damage(content: bytes, rng: np.random.Generator) -> tuple[bytes, bool]:
    """Damage a file's content; returns it and whether it must read the same."""
    harmless = (_with_bom, _with_crlf, _with_empty_end)
    if rng.random() < 0.1:
        return harmless[rng.integers(len(harmless))](content), True
    for _ in range(rng.integers(1, 4)):
        content = _DAMAGES[rng.integers(len(_DAMAGES))](content, rng)
    return content, False


def _with_bom(content: bytes) -> bytes:
    return b"\xef\xbb\xbf" + content


def _with_crlf(content: bytes) -> bytes:
    return content.replace(b"\n", b"\r\n")


def _with_empty_end(content: bytes) -> bytes:
    return content + b"\n\n"


def _delete(content: bytes, rng: np.random.Generator) -> bytes:
    start = rng.integers(len(content) + 1)
    return content[:start] + content[start + rng.integers(1, 8) :]


def _insert(content: bytes, rng: np.random.Generator) -> bytes:
    start = rng.integers(len(content) + 1)
    piece = rng.choice(list(b"0123456789,.-+ eEx_;:\"'[]{}#\n\t\0\xff=/\\aN"))
    return content[:start] + bytes([piece]) + content[start:]


def _flip(content: bytes, rng: np.random.Generator) -> bytes:
    if not content:
        return content
    at = rng.integers(len(content))
    return (
        content[:at] + bytes([content[at] ^ 1 << rng.integers(8)]) + content[at + 1 :]
    )


def _truncate(content: bytes, rng: np.random.Generator) -> bytes:
    return content[: rng.integers(len(content) + 1)]


def _move_line(content: bytes, rng: np.random.Generator) -> bytes:
    """Delete, repeat or move a line."""
    lines = content.split(b"\n")
    line = lines.pop(rng.integers(len(lines)))
    for _ in range(rng.integers(3)):
        lines.insert(rng.integers(len(lines) + 1), line)
    return b"\n".join(lines)


def _replace_number(content: bytes, rng: np.random.Generator) -> bytes:
    """Put another number, or what is none, in a number's place."""
    found = list(re.finditer(rb"-?\d+(\.\d+)?", content))
    if not found:
        return content
    hit = found[rng.integers(len(found))]
    texts = ("nan", "inf", "-inf", "1e400", "-1", "", "0", "0x10", "1_0", "1e30", "2.5")
    text = str(rng.choice([*texts, str(2**63), "99", "٣"]))
    return content[: hit.start()] + text.encode() + content[hit.end() :]


def _replace_separator(content: bytes, rng: np.random.Generator) -> bytes:
    old, new = rng.choice(list(b",;\t :."), 2, replace=False)
    return content.replace(bytes([old]), bytes([new]), rng.integers(1, 30))


_DAMAGES = (
    _delete,
    _insert,
    _flip,
    _truncate,
    _move_line,
    _replace_number,
    _replace_separator,
)


def write_sample(root: Path) -> None:
    """Write a sound file of every format, with its images."""
    rng = np.random.default_rng(1)
    image = np.full((HEIGHT, WIDTH, 3), 127, np.uint8)
    for number in range(1, FRAMES + 1):
        for folder in ("SEQ/img1", "JDE/images"):
            path = root / folder / f"{number:06d}.jpg"
            write_image(path, image)
    boxes = [
        (
            frame,
            identity,
            *rng.uniform((0, 0, 5, 5), (30, 20, 30, 25)).round(2).tolist(),
        )
        for frame in range(1, FRAMES + 1)
        for identity in range(1, 5)
        if rng.random() < 0.8
    ]
    (root / "SEQ/gt").mkdir()
    _write_rows(root / "SEQ/gt/gt.txt", [(*b, 1, 1 + b[1] % 3, 0.5) for b in boxes])
    _write_rows(root / "SEQ.txt", [(*b, 0.9, -1, -1, -1) for b in boxes])
    info = "".join(f"{key}={value}\n" for key, value in _SEQINFO.items())
    (root / "SEQ/seqinfo.ini").write_text("[Sequence]\n" + info)
    named = [(*b, ("pedestrian", "car")[b[1] % 2]) for b in boxes]
    _write_rows(root / "walk.csv", [("frame", "id", *"xywh", "class"), *named])
    _write_jde(root / "JDE", boxes)
    (root / "coco.json").write_text(json.dumps(_coco(boxes)))


def _write_rows(path: Path, rows: Iterable[tuple], separator: str = ",") -> None:
    path.write_text("".join(separator.join(map(str, row)) + "\n" for row in rows))


def _write_jde(root: Path, boxes: Rows) -> None:
    (root / "labels_with_ids").mkdir()
    for number in range(1, FRAMES + 1):
        rows = [(0, b[1], *(v / 100 for v in b[2:])) for b in boxes if b[0] == number]
        _write_rows(root / f"labels_with_ids/{number:06d}.txt", rows, " ")
    names = [f"images/{number:06d}.jpg" for number in range(1, FRAMES + 1)]
    (root / "list.train").write_text("\n".join(names) + "\n")


def _coco(boxes: Rows) -> dict:
    return dict(
        categories=[dict(id=1, name="pedestrian"), dict(id=2, name="car")],
        videos=[dict(id=1, name="SEQ")],
        images=[
            dict(id=i, video_id=1, frame_id=i - 1, file_name=f"SEQ/img1/{i:06d}.jpg")
            for i in range(1, FRAMES + 1)
        ],
        annotations=[
            dict(id=i, image_id=f, category_id=1, instance_id=n, bbox=box, iscrowd=0)
            for i, (f, n, *box) in enumerate(boxes)
        ],
    )


def _of_dataset(dataset: fairmot_mm.datasets.FrameDataset) -> Rows:
    """Rows of path, frame, box, label, identity, ignored; identities as ranks."""
    records = dataset.records
    return [
        (
            Path(records.paths[image]).name,
            int(records.frames[image]),
            *records.boxes[row].tolist(),
            int(records.labels[row]),
            int(records.identities[row]),
            bool(records.ignored[row]),
        )
        for row, image in enumerate(records.images.tolist())
    ]


def _ranked(rows: Rows, place: int) -> Rows:
    """Rows whose identities are replaced by their ranks, negative ones by -1."""
    ranks = {
        n: i for i, n in enumerate(sorted({r[place] for r in rows if r[place] >= 0}))
    }
    return [(*r[:place], ranks.get(r[place], -1), *r[place + 1 :]) for r in rows]


def _number(text: str) -> float:
    if not _NUMBER.fullmatch(text.strip(" \t\r")):
        raise MalformedError(text)
    value = float(text)
    if not np.isfinite(value):
        raise MalformedError(text)
    return value


def _whole(value: float) -> int:
    if not abs(value) <= 2**53 or value != int(value):  # infinity and NaN, too
        raise MalformedError(str(value))
    return int(value)


def _rows_of_numbers(text: str, least: int) -> list[list[float]]:
    lines = [line.strip(" \t\r") for line in text.split("\n")]
    rows = [
        [_number(cell) for cell in line.removesuffix(",").split(",")]
        for line in lines
        if line
    ]
    if any(len(row) != len(rows[0]) or len(row) < least for row in rows):
        raise MalformedError("columns")
    return rows


def _read_gt(root: Path) -> Rows:
    gt = read_gt(read_sequence(root / "SEQ"))
    columns = (gt.frames, gt.ids, *gt.boxes.T, gt.marks, gt.classes, gt.visibility)
    return list(zip(*(column.tolist() for column in columns), strict=True))


def _parse_gt(text: str) -> Rows:
    rows = _rows_of_numbers(text, 7)
    found = []
    for row in rows:
        with_class = len(row) in (8, 9)
        kind = _whole(row[7]) if with_class else -1
        visibility = row[8] if len(row) == 9 and kind != -1 else 1.0
        frame, identity, mark = (_whole(row[i]) for i in (0, 1, 6))
        found.append((frame, identity, *row[2:6], mark, kind, visibility))
    keys = [row[:2] for row in found]
    if not found or len(set(keys)) < len(keys):
        raise MalformedError("keys")
    return sorted(found)


def _parse_results(text: str) -> Rows:
    rows = _rows_of_numbers(text, 6)
    return sorted((*row[:6], row[6] if len(row) > 6 else 1.0) for row in rows)


def _read_seqinfo(root: Path) -> Rows:
    info = read_sequence(root / "SEQ")
    numbers = (info.length, info.frame_rate, info.width, info.height)
    return [(info.name, *numbers, info.image_dir, info.extension)]


def _parse_seqinfo(text: str) -> Rows:
    values: dict[str, str] = {}
    lines = [line.rstrip() for line in text.split("\n")]
    lines = [line for line in lines if line and line[0] not in "#;"]
    if lines[:1] != ["[Sequence]"]:
        raise MalformedError("section")
    for line in lines[1:]:
        hit = re.fullmatch(r"([^\s=:\[][^=:]*?)\s*[=:]\s*(.*)", line)
        if hit is None or hit[1].lower() in values:
            raise MalformedError(line)
        values[hit[1].lower()] = hit[2]
    try:
        numbers = [_number(values[k]) for k in ("seqlength", "framerate")]
        numbers += [_number(values[k]) for k in ("imwidth", "imheight")]
    except KeyError as error:
        raise MalformedError(str(error)) from error
    if min(numbers) <= 0:
        raise MalformedError("not positive")
    texts = [values.get(k) for k in ("name", "imdir", "imext")]
    name, folder, extension = (
        given or default
        for given, default in zip(texts, ("SEQ", "img1", ".jpg"), strict=True)
    )
    return [(name, *numbers, folder, extension)]


def _read_jde(root: Path) -> Rows:
    return _of_dataset(JDEFrameDataset("list.train", str(root / "JDE")))


def _jde_rows(texts: dict[str, str]) -> Rows:
    rows = []
    for name, text in texts.items():
        for line in text.split("\n"):
            cells = line.split()
            if not cells:
                continue
            values = [_number(cell) for cell in cells]
            if len(values) != 6:
                raise MalformedError(line)
            kind, identity, x, y, w, h = values
            box = (x - w / 2, y - h / 2, x + w / 2, y + h / 2)
            rows.append((name, -1, *box, _whole(kind), _whole(identity), False))
    return _ranked(rows, 7)


@functools.cache
def _jde_texts() -> dict[str, str]:
    with tempfile.TemporaryDirectory() as folder:
        write_sample(Path(folder))
        labels = sorted(Path(folder, "JDE/labels_with_ids").iterdir())
        return {f"{path.stem}.jpg": path.read_text() for path in labels}


def _parse_jde_labels(text: str) -> Rows:
    return _jde_rows(_jde_texts() | {"000002.jpg": text})


def _parse_jde_list(text: str) -> Rows:
    texts, lines = _jde_texts(), [line.strip() for line in text.split("\n")]
    names = [posixpath.normpath(line.replace("\\", "/")) for line in lines if line]
    known = {f"images/{name}" for name in texts}
    if not names or set(names) - known or len(set(names)) < len(names):
        raise MalformedError("names")
    return _jde_rows({Path(name).name: texts[Path(name).name] for name in names})


def _read_csv(root: Path) -> Rows:
    return _of_dataset(
        FootageFrameDataset(
            "walk.csv",
            "SEQ/img1",
            str(root),
            metainfo=dict(classes=("pedestrian", "car")),
        )
    )


def _parse_csv(text: str) -> Rows:
    lines = [line.strip("\r") for line in text.split("\n") if line.strip()]
    if not lines:
        raise MalformedError("empty")
    names = [name.strip().lower() for name in lines[0].split(",")]
    if sorted(names) != sorted(("frame", "id", *"xywh", "class")):
        raise MalformedError("columns")
    rows: Rows = []
    for line in lines[1:]:
        cells = line.split(",")
        if len(cells) != len(names) or '"' in line:
            raise MalformedError(line)
        cell = dict(zip(names, cells, strict=True))
        x, y, w, h = (_number(cell[key]) for key in "xywh")
        frame = _whole(_number(cell["frame"]))
        identity = _whole(_number(cell["id"])) if cell["id"].strip() else -1
        label = dict(pedestrian=0, car=1).get(cell["class"].strip())
        if label is None:  # others are left out, which is counted
            continue
        box = [float(np.float32(v)) for v in (x, y, x + w, y + h)]
        rows.append((f"{frame:06d}.jpg", identity, -1, *box, label, frame))
    rows.sort(key=lambda row: row[8])  # by frame; otherwise as they are written
    return _ranked([(r[0], -1, *r[3:7], r[7], r[1], False) for r in rows], 7)


def _read_coco(root: Path) -> Rows:
    return _of_dataset(COCOVideoFrameDataset("coco.json", str(root)))


def _unique(pairs: list[tuple]) -> dict:
    if len({key for key, _ in pairs}) < len(pairs):
        raise MalformedError("key twice")
    return dict(pairs)


def _refuse(text: str) -> None:
    raise MalformedError(text)


def _parse_coco(text: str) -> Rows:
    try:
        content = json.loads(text, parse_constant=_refuse, object_pairs_hook=_unique)
        names = {c["id"]: c["name"] for c in content["categories"]}
        videos: dict[object, list[dict]] = {}
        for image in content["images"]:
            videos.setdefault(image.get("video_id"), []).append(image)
        rows = []
        for number, images in enumerate(videos.values()):
            for image in sorted(images, key=lambda i: i.get("frame_id", 0)):
                for a in content["annotations"]:
                    if a["image_id"] == image["id"] and names[a["category_id"]] == (
                        "pedestrian"
                    ):
                        rows.append(_coco_row(a, image, number))
        return _ranked(rows, 7)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise MalformedError(str(error)) from error


def _coco_row(annotation: dict, image: dict, video: int) -> tuple:
    x, y, w, h = (_number(str(value)) for value in annotation["bbox"])
    box = [float(np.float32(v)) for v in (x, y, x + w, y + h)]
    identity = annotation.get("instance_id", annotation.get("track_id", -1))
    identity = _whole(identity)
    ignored = bool(annotation.get("iscrowd")) or bool(annotation.get("ignore"))
    identity = -1 if ignored or identity < 0 else identity + video * 2**60
    name = Path(image["file_name"]).name
    return (name, -1, *box, 0, identity, ignored)


FORMATS = {
    "gt.txt": Format("SEQ/gt/gt.txt", _read_gt, _parse_gt),
    "result file": Format(
        "SEQ.txt",
        lambda root: [tuple(row) for row in read_results(root / "SEQ.txt").tolist()],
        _parse_results,
    ),
    "seqinfo.ini": Format("SEQ/seqinfo.ini", _read_seqinfo, _parse_seqinfo),
    "JDE labels": Format(
        "JDE/labels_with_ids/000002.txt", _read_jde, _parse_jde_labels
    ),
    "JDE list": Format("JDE/list.train", _read_jde, _parse_jde_list),
    "CSV": Format("walk.csv", _read_csv, _parse_csv),
    "COCO-VID": Format("coco.json", _read_coco, _parse_coco, has_lines=False),
}


if __name__ == "__main__":
    main()
