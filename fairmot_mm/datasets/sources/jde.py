from __future__ import annotations

import os
import warnings
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np
from rich.progress import track

from fairmot_mm.formats.annotation_errors import report
from fairmot_mm.registry import DATASETS

from ..frame_dataset import FrameDataset
from ..frame_records import Boxes, FrameRecords, RecordsBuilder

_COLUMNS = 6
_CHUNK = 20_000  # label files parsed together
_READERS = 16  # threads; they wait for the disk, most of the time
_BLANKS = np.zeros(256, bool)
_BLANKS[[9, 10, 11, 12, 13, 32]] = True


class _Image(NamedTuple):
    """An image of the list, its label file and its line."""

    path: str
    labels: str
    line: int


@DATASETS.register_module()
class JDEFrameDataset(FrameDataset):
    """Lists of images with a label file each, as JDE and FairMOT ship them.

    A list (``mot17.train``) has a path per line, relative to ``data_root``. The label
    file of ``A/images/B.jpg`` is ``A/labels_with_ids/B.txt`` with a line
    ``class id cx cy w h`` per box: centre and size in shares of the image, identities
    unique over the list, -1 for none. An image without boxes has an empty file.

    Args:
        ann_file (str): The list, relative to ``data_root``.
        data_root (str): Folder the paths of the list start from.
        metainfo (dict | None): ``classes`` in the order of the class column.
        **kwargs: For :class:`FrameDataset`.

    Raises:
        FileNotFoundError: If the list or an image is missing.
        ValueError: If ``LIST:LINE`` has no label file, or ``LABELS:LINE`` is wrong.
    """

    ordered = False

    def __init__(self, ann_file: str, data_root: str = "", **kwargs) -> None:
        super().__init__(ann_file=ann_file, data_root=data_root, **kwargs)

    def load_records(self) -> FrameRecords:
        """Read the list and all label files."""
        images = list(self._listed())
        if not images:
            raise ValueError(f"{self.ann_file}: empty list; expected an image per line")
        tables, counts, lines, read = [], [], [], []
        starts = range(0, len(images), _CHUNK)
        long = len(starts) > 1
        with ThreadPoolExecutor(_READERS) as pool:
            for start in track(starts, f"Reading {self.name}", disable=not long):
                chunk, texts = self._texts(pool, images[start : start + _CHUNK])
                table = _parse_together(texts)
                if table is None or not self._is_sound(table[0]):
                    table = self._parse_lines(chunk, texts)
                tables.append(table[0])
                counts.append(table[1])
                lines.append(table[2])
                read += [image.path for image in chunk]
        builder = RecordsBuilder(normalized=True)
        values = np.concatenate(tables)
        half = values[:, 4:6] / 2
        builder.add(
            read,
            Boxes(
                counts=np.concatenate(counts),
                boxes=np.hstack((values[:, 2:4] - half, values[:, 2:4] + half)),
                labels=values[:, 0],
                identities=values[:, 1].astype(np.int64),
                lines=np.concatenate(lines),
            ),
            self.ann_file,
        )
        return builder.finish()

    def _annotation_file(self, records: FrameRecords, index: int) -> str:
        return label_path(records.paths[index])

    def _listed(self) -> Iterator[_Image]:
        """The images of the list."""
        text = Path(self.ann_file).read_text(encoding="utf-8-sig", errors="replace")
        seen: dict[str, int] = {}
        for number, row in enumerate(text.split("\n"), 1):
            name = row.strip()
            if not name:
                continue
            if seen.setdefault(name, number) != number:
                what = f"{name} is listed again, expected once (line {seen[name]})"
                report("image twice", self.ann_file, number, what)
                continue
            path = os.path.join(self.data_root, name)
            labels = label_path(path)
            if labels is None:
                report(
                    "malformed line",
                    self.ann_file,
                    number,
                    f"{name}: no folder images in the path, beside which the folder "
                    "labels_with_ids is looked for",
                )
                continue
            yield _Image(path, labels, number)

    def _texts(
        self, pool: ThreadPoolExecutor, images: Sequence[_Image]
    ) -> tuple[list[_Image], list[bytes]]:
        """Images that have a label file, and the files' contents."""
        slabs = [images[i : i + 256] for i in range(0, len(images), 256)]
        contents = [text for slab in pool.map(_read_files, slabs) for text in slab]
        found, texts = [], []
        for image, content in zip(images, contents, strict=True):
            if isinstance(content, bytes):
                found.append(image)
                texts.append(content)
                continue
            report(
                "missing labels",
                self.ann_file,
                image.line,
                f"{image.labels}: {content}; an image without boxes has an empty label "
                "file, so restore it or take the image out of the list",
            )
        return found, texts

    def _is_sound(self, values: np.ndarray) -> bool:
        return not any(bad.any() for _, bad, _ in self._rules(values))

    def _rules(self, values: np.ndarray) -> list[tuple[str, np.ndarray, str]]:
        """What may be wrong with numbers (N, 6), where, and what is expected."""
        classes, identities, size = values[:, 0], values[:, 1], values[:, 4:6]
        count = len(self._classes)
        return [
            (
                "malformed line",
                ~np.isfinite(values).all(1),
                "NaN or infinity, expected finite numbers",
            ),
            (
                "unknown class",
                (classes != np.rint(classes)) | (classes < 0) | (classes >= count),
                f"class {{0:g}}, expected 0 to {count - 1} for {self._classes}",
            ),
            (
                "bad identity",
                (identities != np.rint(identities))
                | (identities < -1)
                | (identities >= 2**31),
                "identity {1:g}, expected a whole number from 0, or -1 for none",
            ),
            (
                "degenerate box",
                (size <= 0).any(1),
                "box of {4:g} x {5:g} of the image, expected width and height above 0",
            ),
            (
                "box not normalised",
                (np.abs(values[:, 2:6]) > 10).any(1),
                "box {2:g} {3:g} {4:g} {5:g}, expected centre and size as shares of "
                "the image, from 0 to 1",
            ),
        ]

    def _parse_lines(
        self, images: Sequence[_Image], texts: Sequence[bytes]
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Parse line by line to name those at fault."""
        table, counts, lines = [], [], []
        for image, text in zip(images, texts, strict=True):
            before = len(table)
            rows = text.decode("utf-8-sig", "replace").split("\n")
            for number, row in enumerate(rows, 1):
                if not row.strip():
                    continue
                values = self._parse_line(image.labels, number, row)
                if values is not None:
                    table.append(values)
                    lines.append(number)
            counts.append(len(table) - before)
        values = np.array(table).reshape(-1, _COLUMNS)
        return values, np.array(counts, np.int64), np.array(lines, np.int64)

    def _parse_line(self, path: str, number: int, row: str) -> np.ndarray | None:
        cells = row.split()
        if len(cells) != _COLUMNS:
            what = f"{len(cells)} columns, expected 6: class id cx cy w h"
            return report("malformed line", path, number, what)
        try:
            values = np.array([float(cell) for cell in cells])
        except ValueError:
            what = f"not numeric: {row.strip()!r}, expected numbers"
            return report("malformed line", path, number, what)
        for kind, bad, expected in self._rules(values[None]):
            if bad[0]:
                return report(kind, path, number, expected.format(*values))
        return values


def label_path(image_path: str) -> str | None:
    """Label file of an image: in ``labels_with_ids`` for the last ``images``.

    Returns:
        The path, or None if no folder is named ``images``.
    """
    before, found, after = f"/{image_path}".rpartition("/images/")
    if not found:
        return None
    return f"{before}/labels_with_ids/{os.path.splitext(after)[0]}.txt"[1:]


def _read_files(images: Sequence[_Image]) -> list[bytes | str]:
    """Contents of label files, or what is wrong with them."""
    contents: list[bytes | str] = []
    for image in images:
        try:
            with open(image.labels, "rb", buffering=0) as file:
                contents.append(file.read())
        except OSError as error:
            contents.append(error.strerror)
    return contents


def _parse_together(
    texts: Sequence[bytes],
) -> tuple[np.ndarray, np.ndarray, np.ndarray] | None:
    """Parse many files at once.

    Returns:
        (N, 6) numbers, (n,) rows of each file and (N,) line numbers, or None where a
        line is not of six numbers.
    """
    blob = np.frombuffer(b"\n".join(texts) + b"\n", np.uint8)
    blank = _BLANKS[blob]
    tokens = ~blank
    tokens[1:] &= blank[:-1]
    line_ends = np.flatnonzero(blob == ord("\n"))
    per_line = np.diff(np.cumsum(tokens)[line_ends], prepend=0)
    filled = per_line > 0
    if (per_line[filled] != _COLUMNS).any():
        return None
    try:
        with warnings.catch_warnings():
            # Older NumPy warns of what is no number and stops there; newer raises.
            warnings.simplefilter("error", DeprecationWarning)
            values = np.fromstring(blob.tobytes(), np.float64, sep=" ")
    except (ValueError, DeprecationWarning):
        return None
    lines_of_file = np.array([text.count(b"\n") + 1 for text in texts])
    first = np.concatenate(([0], np.cumsum(lines_of_file)))
    rows_before = np.concatenate(([0], np.cumsum(filled)))
    counts = np.diff(rows_before[first])
    numbers = np.arange(len(filled)) - np.repeat(first[:-1], lines_of_file) + 1
    return values.reshape(-1, _COLUMNS), counts, numbers[filled]
