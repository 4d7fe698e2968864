import os
import posixpath
import warnings
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from rich.progress import track

from fairmot_mm.formats import tables
from fairmot_mm.formats.annotation_errors import AnnotationError, ErrorSink
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
        listed = self._read_list(errors)
        if not listed:
            raise ValueError(f"{self.ann_file}: empty list; expected an image per line")
        paths: list[str] = []
        parsed = []
        chunks = range(0, len(listed), _CHUNK)
        title, once = f"Reading {self.name}", len(chunks) == 1
        with ThreadPoolExecutor(_READERS) as pool:
            for start in track(chunks, title, disable=once):
                images = dict(listed[start : start + _CHUNK])
                texts = self._read_labels(pool, images, errors)
                if texts:
                    contents = list(texts.values())
                    table = _parse_together(contents) or _parse_by_line(texts, errors)
                    parsed.append(table)
                    paths += texts
        if not paths:
            raise ValueError(f"{self.ann_file}: no label file of any image is there")
        values, counts, lines = map(np.concatenate, zip(*parsed, strict=True))
        half = values[:, 4:6] / 2
        identities = values[:, 1]
        sequence = AnnotatedSequence(
            self.ann_file,
            paths,
            BoxTable(
                frames=np.repeat(np.arange(len(paths)), counts),
                corners=np.hstack((values[:, 2:4] - half, values[:, 2:4] + half)),
                classes=values[:, 0],
                identities=identities,
                lines=lines,
            ),
            dict(enumerate(self._classes)),
            errors,
            normalized=True,
            file_of_image=label_path,
        )
        sequence.drop(
            "bad identity",
            identities < -1,
            lambda i: f"identity {identities[i]:g}, expected 0 or more, or -1 for none",
        )
        yield sequence

    def annotation_file(self, index: int) -> str:
        """The label file of an image."""
        return label_path(self.records.paths[index])

    def _read_list(self, errors: ErrorSink) -> list[tuple[str, int]]:
        """The images of the list, with their lines."""
        images: dict[str, int] = {}
        for line, row in tables.read_lines(Path(self.ann_file)):
            # Lists may come from Windows, and a path may be written in several ways.
            name = posixpath.normpath(row.strip().replace("\\", "/"))
            path = os.path.join(self.data_root, name)  # noqa: PTH118 (many)
            path = path.replace(os.sep, "/")
            if "/images/" not in f"/{name}":
                kind = "malformed line"
                text = (
                    f"{name}: no folder images in the path, beside which the folder "
                    "labels_with_ids is expected"
                )
            elif (first := images.setdefault(path, line)) != line:
                kind = "image twice"
                text = f"{name} is listed again, expected once (line {first})"
            else:
                continue
            errors(AnnotationError(kind, self.ann_file, line, text))
        return list(images.items())

    def _read_labels(
        self, pool: ThreadPoolExecutor, images: dict[str, int], errors: ErrorSink
    ) -> dict[str, bytes]:
        """Contents of the images' label files, where there is one."""
        paths = list(images)
        slabs = [paths[i : i + 256] for i in range(0, len(paths), 256)]
        contents = chain.from_iterable(pool.map(_read_files, slabs))
        texts = {}
        for path, content in zip(paths, contents, strict=True):
            if isinstance(content, bytes):
                texts[path] = content
                continue
            text = (
                f"{label_path(path)}: {content}; an image without boxes has an empty "
                "label file, so restore it or take the image out of the list"
            )
            errors(AnnotationError("missing labels", self.ann_file, images[path], text))
        return texts


def label_path(image_path: str) -> str:
    """Label file of an image: in ``labels_with_ids`` for the last ``images``."""
    before, _, after = f"/{image_path}".rpartition("/images/")
    stem = os.path.splitext(after)[0]  # noqa: PTH122 (of many images)
    return f"{before}/labels_with_ids/{stem}.txt"[1:]


def _read_files(images: Sequence[str]) -> list[bytes | str]:
    """Contents of label files, or what is wrong with them."""
    contents: list[bytes | str] = []
    for path in map(label_path, images):
        try:
            with open(path, "rb", buffering=0) as file:  # noqa: PTH123 (many)
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


def _parse_by_line(texts: dict[str, bytes], errors: ErrorSink) -> _Table:
    """Parse line by line to name the malformed ones."""
    values, counts, lines = [], [], []
    for image, text in texts.items():
        numbered = tables.split_lines(text.decode("utf-8-sig", "replace"))
        rows, numbers = tables.parse_lines(
            label_path(image), numbered, _parse_row, errors
        )
        values.append(np.array(rows).reshape(-1, _COLUMNS))
        counts.append(len(rows))
        lines.append(numbers)
    return np.concatenate(values), np.array(counts, int), np.concatenate(lines)


def _parse_row(row: str) -> list[float]:
    cells = row.split()
    if len(cells) != _COLUMNS:
        raise ValueError(f"{len(cells)} columns, expected 6: class id cx cy w h")
    return tables.parse_numbers(cells)
