from __future__ import annotations

import os
import posixpath
import warnings
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from rich.progress import track

from fairmot_mm.formats.annotation_errors import AnnotationError, ErrorSink
from fairmot_mm.formats.tables import (
    parse_lines,
    parse_numbers,
    read_lines,
    split_lines,
)
from fairmot_mm.registry import DATASETS

from ..annotated_sequence import AnnotatedSequence, BoxTable
from ..frame_dataset import FrameDataset

# (N, 6) numbers, (n,) rows of each file and (N,) line numbers.
_Table = tuple[np.ndarray, np.ndarray, np.ndarray]

_COLUMNS = 6
_CHUNK = 20_000  # label files parsed together
_READERS = 16  # threads, which mostly wait for the disk
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
        ann_file: The list, relative to ``data_root``.
        data_root: Folder that the paths of the list start from.
        **kwargs: For :class:`FrameDataset`; ``metainfo.classes`` in the order of the
            class column.
    """

    ordered = False

    def __init__(self, ann_file: str, data_root: str = "", **kwargs: Any) -> None:
        super().__init__(ann_file=ann_file, data_root=data_root, **kwargs)

    def read_sequences(self, errors: ErrorSink) -> Iterator[AnnotatedSequence]:
        """Read the list and all label files."""
        images = list(self._listed(errors))
        if not images:
            raise ValueError(f"{self.ann_file}: empty list; expected an image per line")
        paths: list[str] = []
        tables = []
        starts = range(0, len(images), _CHUNK)
        with ThreadPoolExecutor(_READERS) as pool:
            for start in track(
                starts, f"Reading {self.name}", disable=len(starts) == 1
            ):
                chunk, texts = self._texts(pool, images[start : start + _CHUNK], errors)
                table = _parse_together(texts) or _parse_by_line(chunk, texts, errors)
                tables.append(table)
                paths += [image.path for image in chunk]
        columns = zip(*tables, strict=True)
        values, counts, lines = (np.concatenate(column) for column in columns)
        half = values[:, 4:6] / 2
        identities = values[:, 1]
        yield AnnotatedSequence(
            annotation_file=self.ann_file,
            images=paths,
            boxes=BoxTable(
                frames=np.repeat(np.arange(len(paths)), counts),
                corners=np.hstack((values[:, 2:4] - half, values[:, 2:4] + half)),
                classes=values[:, 0],
                identities=identities,
                lines=lines,
            ),
            class_names=dict(enumerate(self._classes)),
            normalized=True,
            file_of_image=label_path,
            errors=errors,
        ).without(
            "bad identity",
            identities < -1,
            lambda i: f"identity {identities[i]:g}, expected 0 or more, or -1 for none",
        )

    def annotation_file(self, index: int) -> str:
        """The label file of an image."""
        return label_path(self.records.paths[index])

    def _listed(self, errors: ErrorSink) -> Iterator[_Image]:
        """The images of the list."""
        seen: dict[str, int] = {}
        for line, row in read_lines(Path(self.ann_file)):
            # Lists may come from Windows, and a path may be written in several ways.
            name = posixpath.normpath(row.strip().replace("\\", "/"))
            if seen.setdefault(name, line) != line:
                kind = "image twice"
                text = f"{name} is listed again, expected once (line {seen[name]})"
            elif "/images/" not in f"/{name}":
                kind = "malformed line"
                text = (
                    f"{name}: no folder images in the path, beside which the folder "
                    "labels_with_ids is expected"
                )
            else:
                path = os.path.join(self.data_root, name)  # noqa: PTH118 (many)
                path = path.replace(os.sep, "/")
                yield _Image(path, label_path(path), line)
                continue
            errors(AnnotationError(kind, self.ann_file, line, text))

    def _texts(
        self, pool: ThreadPoolExecutor, images: Sequence[_Image], errors: ErrorSink
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
            text = (
                f"{image.labels}: {content}; an image without boxes has an empty label "
                "file, so restore it or take the image out of the list"
            )
            errors(AnnotationError("missing labels", self.ann_file, image.line, text))
        return found, texts


def label_path(image_path: str) -> str:
    """Label file of an image: in ``labels_with_ids`` for the last ``images``."""
    before, _, after = f"/{image_path}".rpartition("/images/")
    stem = os.path.splitext(after)[0]  # noqa: PTH122 (of many images)
    return f"{before}/labels_with_ids/{stem}.txt"[1:]


def _read_files(images: Sequence[_Image]) -> list[bytes | str]:
    """Contents of label files, or what is wrong with them."""
    contents: list[bytes | str] = []
    for image in images:
        try:
            with open(image.labels, "rb", buffering=0) as file:  # noqa: PTH123 (many)
                contents.append(file.read())
        except OSError as error:
            contents.append(str(error.strerror))
    return contents


def _parse_together(texts: Sequence[bytes]) -> _Table | None:
    """Parse many files at once; None where a line is not of six numbers."""
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


def _parse_by_line(
    images: Sequence[_Image], texts: Sequence[bytes], errors: ErrorSink
) -> _Table:
    """Parse line by line to name the malformed ones."""
    values, counts, lines = [], [], []
    for image, text in zip(images, texts, strict=True):
        numbered = split_lines(text.decode("utf-8-sig", "replace"))
        rows, numbers = parse_lines(image.labels, numbered, _parse_row, errors)
        values.append(np.array(rows).reshape(-1, _COLUMNS))
        counts.append(len(rows))
        lines.append(numbers)
    return np.concatenate(values), np.array(counts, int), np.concatenate(lines)


def _parse_row(row: str) -> list[float]:
    cells = row.split()
    if len(cells) != _COLUMNS:
        raise ValueError(f"{len(cells)} columns, expected 6: class id cx cy w h")
    return parse_numbers(cells)
