"""Folders in the MOTChallenge layout.

A sequence is ``SEQ/seqinfo.ini``, ``SEQ/img1/000001.jpg`` and, where there is ground
truth, ``SEQ/gt/gt.txt``. Frames count from 1; boxes are (x, y, w, h) in pixels with
(x, y) the top left corner.
"""

import configparser
import contextlib
import math
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path
from typing import TypeVar

import numpy as np

from .annotation_errors import ErrorSink, raise_error
from .files import is_file_name, read_text
from .tables import check_keys, parse_number, read_table

Number = TypeVar("Number", int, float)

PEDESTRIAN = 1
NO_CLASS = -1

# Class column of MOT16 and later (Milan et al., arXiv:1603.00831, table 3).
MOT_CLASSES = (
    "pedestrian",
    "person_on_vehicle",
    "car",
    "bicycle",
    "motorbike",
    "non_motorised_vehicle",
    "static_person",
    "distractor",
    "occluder",
    "occluder_on_ground",
    "occluder_full",
    "reflection",
    "crowd",
)
# Person on vehicle, static person, distractor, reflection: whether they are found or
# not does not count.
DISTRACTORS = (2, 7, 8, 12)


@dataclass(frozen=True)
class MOTSequence:
    """What ``seqinfo.ini`` says about a sequence.

    Attributes:
        root: Folder of the sequence.
        name: Name of the sequence, also that of its result file.
        length: Number of frames.
        frame_rate: Frames per second.
        width: Of the frames, in pixels.
        height: Of the frames, in pixels.
        image_dir: Folder of the frames, relative to ``root``.
        extension: How the names of the frames end, with the dot.
        gt_file: Ground truth, relative to ``root``.
        digits: Digits in the names of the frames: six, or eight in DanceTrack.
    """

    root: Path
    name: str
    length: int
    frame_rate: float
    width: int
    height: int
    image_dir: str = "img1"
    extension: str = ".jpg"
    gt_file: str = "gt/gt.txt"
    digits: int = 6

    @property
    def gt_path(self) -> Path:
        """The ground truth file, which a test sequence does not have."""
        return self.root / self.gt_file

    def image_path(self, frame: int) -> Path:
        """Path of a frame, counted from 1."""
        return self.root / self.image_dir / f"{frame:0{self.digits}d}{self.extension}"


@dataclass(frozen=True)
class MOTAnnotations:
    """Ground truth of a sequence: one row per line, sorted by (frame, id).

    Attributes:
        frames: (N,) int64, from 1.
        ids: (N,) int64.
        boxes: (N, 4) float64, (x, y, w, h) in pixels as written.
        marks: (N,) int64; 0 where the benchmark does not consider the line.
        classes: (N,) int64; -1 where the format has none (MOT15).
        visibility: (N,) float64; 1.0 where the format has none.
        lines: (N,) int64, line number in the file, from 1; 0 if there is no file.
    """

    frames: np.ndarray
    ids: np.ndarray
    boxes: np.ndarray
    marks: np.ndarray
    classes: np.ndarray
    visibility: np.ndarray
    lines: np.ndarray

    def __len__(self) -> int:
        return len(self.frames)

    @classmethod
    def from_columns(cls, values: np.ndarray, lines: np.ndarray) -> "MOTAnnotations":
        """From the first 7 (no class), 8 or 9 (visibility) columns of a ``gt.txt``."""
        count, columns = values.shape
        classes = values[:, 7] if columns > 7 else np.full(count, NO_CLASS)
        visibility = values[:, 8] if columns > 8 else np.ones(count)
        return cls(
            frames=values[:, 0].astype(np.int64),
            ids=values[:, 1].astype(np.int64),
            boxes=values[:, 2:6],
            marks=values[:, 6].astype(np.int64),
            classes=classes.astype(np.int64),
            visibility=np.where(classes == NO_CLASS, 1.0, visibility),
            lines=lines,
        )

    @property
    def is_mot15(self) -> bool:
        """Whether no line has a class, as in MOT15."""
        return bool(np.all(self.classes == NO_CLASS))

    def select(self, rows: np.ndarray) -> "MOTAnnotations":
        """Keep some rows: (N,) mask, or (M,) indices."""
        return MOTAnnotations(**{name: x[rows] for name, x in vars(self).items()})


def read_sequence(root: str | Path) -> MOTSequence:
    """Read the ``seqinfo.ini`` of a sequence folder.

    Raises:
        FileNotFoundError: There is no ``seqinfo.ini``.
        ValueError: It is broken; the message names the line or the key.
    """
    root = Path(root)
    path = root / "seqinfo.ini"
    info = _read_ini_section(path)
    name = info.get("name") or folder_name(root)
    if not is_file_name(name):
        line = line_of_key(path, "name")
        raise ValueError(
            f"{path}{f':{line}' if line else ''}: name is {name!r}, expected a plain "
            "file name, as the results are written to NAME.txt"
        )
    six = MOTSequence(
        root=root,
        name=name,
        length=_positive(path, info, "seqLength", int),
        frame_rate=_positive(path, info, "frameRate", float),
        width=_positive(path, info, "imWidth", int),
        height=_positive(path, info, "imHeight", int),
        image_dir=info.get("imDir") or MOTSequence.image_dir,
        extension=info.get("imExt") or MOTSequence.extension,
    )
    eight = replace(six, digits=8)
    is_eight = eight.image_path(1).exists() and not six.image_path(1).exists()
    return eight if is_eight else six


def write_sequence_info(sequence: MOTSequence) -> None:
    """Write the ``seqinfo.ini`` of a sequence into its folder."""
    (sequence.root / "seqinfo.ini").write_text(
        f"[Sequence]\nname={sequence.name}\nimDir={sequence.image_dir}\n"
        f"frameRate={sequence.frame_rate:.10g}\nseqLength={sequence.length}\n"
        f"imWidth={sequence.width}\nimHeight={sequence.height}\n"
        f"imExt={sequence.extension}\n"
    )


def folder_name(folder: Path) -> str:
    """Name of a folder, also of ``.``; a link is called by its own name."""
    return Path(os.path.abspath(folder)).name  # noqa: PTH100 (also "..")


def find_sequences(
    root: str | Path, names: Iterable[str] | None = None, detector: str | None = None
) -> list[MOTSequence]:
    """Find the sequences of a folder.

    Args:
        root: Folder of sequence folders, or one sequence folder.
        names: Folder names to take, in this order; all, sorted, if None.
        detector: Keep only the folders whose names end in ``-DETECTOR``: MOT17 ships
            every sequence once for each of three detectors.

    Raises:
        FileNotFoundError: ``root`` is missing.
        ValueError: A sequence is missing, two have the same name, or there is none.
    """
    root = Path(root)
    if not root.is_dir():
        raise FileNotFoundError(f"{root}: no such folder of MOTChallenge sequences")
    candidates = [root] if _is_sequence(root) else sorted(root.iterdir())
    folders = {folder_name(path): path for path in candidates if _is_sequence(path)}
    chosen = list(folders if names is None else names)
    if missing := [name for name in chosen if name not in folders]:
        there = ", ".join(folders) or "none"
        raise ValueError(f"{root}: no sequence {', '.join(missing)}; there is {there}")
    which = ""
    if detector is not None:
        chosen = [name for name in chosen if name.endswith(f"-{detector}")]
        which = f" whose name ends in -{detector}"
    if not chosen:
        raise ValueError(
            f"{root}: no sequence{which} found; expected folders that hold seqinfo.ini"
        )
    sequences = [read_sequence(folders[name]) for name in chosen]
    check_unique_names(sequences)
    return sequences


def check_unique_names(sequences: Sequence[MOTSequence]) -> None:
    """Refuse sequences of one name (ValueError), as they would share a result file."""
    for first, second in combinations(sequences, 2):
        if first.name == second.name:
            raise ValueError(
                f"two sequences are named {first.name}: {first.root} and "
                f"{second.root}; names (in seqinfo.ini) must differ"
            )


def read_gt(sequence: MOTSequence, errors: ErrorSink = raise_error) -> MOTAnnotations:
    """Read and check the ground truth of a sequence.

    Lines have nine columns ``frame,id,x,y,w,h,mark,class,visibility`` (MOT16 and
    later), or ten without classes (MOT15: the last three are a position in the world,
    or -1). Seven or eight columns, without class or visibility, do too. The benchmark's
    identities count from 1; others that share its layout count from 0.

    Lines are reported that have too few columns or anything but finite numbers, a frame
    outside the sequence, an identity twice in a frame, or, if they are considered (mark
    other than 0), an empty box or a negative identity.

    Raises:
        FileNotFoundError: The sequence has no ground truth.
        ValueError: The file is empty.
    """
    path = sequence.gt_path
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no ground truth; test splits have none")
    table = read_table(path, 7, errors)
    if not len(table.values):
        raise ValueError(f"{path}: empty ground truth; expected a line per box")
    if table.values.shape[1] > 9:  # MOT15's position in the world
        table = replace(table, values=table.values[:, :7])
    integers = {0: "frame", 1: "id", 6: "mark", 7: "class"}
    integers = {i: name for i, name in integers.items() if i < table.values.shape[1]}
    table = check_keys(table, integers, sequence.length)
    values = table.values
    table = table.without(
        "bad identity",
        (values[:, 6] != 0) & (values[:, 1] < 0),
        lambda i: f"id {values[i, 1]:.0f} of a considered box, expected 0 or more",
    )
    sizes = table.values[:, 4:6]
    table = table.without(
        "degenerate box",
        (table.values[:, 6] != 0) & (sizes <= 0).any(1),
        lambda i: (
            f"considered box of {sizes[i, 0]:g} x {sizes[i, 1]:g} pixels, expected "
            "width and height above 0"
        ),
    )
    return MOTAnnotations.from_columns(table.values, table.lines)


def evaluated_pedestrians(annotations: MOTAnnotations) -> np.ndarray:
    """Mask (N,) of the lines that the benchmark scores: considered pedestrians."""
    pedestrian = np.isin(annotations.classes, (PEDESTRIAN, NO_CLASS))
    return (annotations.marks != 0) & pedestrian


def split_range(sequence: MOTSequence, half: str | None) -> tuple[int, int]:
    """First and last frame of a half of a sequence, from 1, both included.

    The ``first`` half is the shorter one, as in the reference implementation; the other
    is the ``second``, and None is all of the sequence.

    Raises:
        ValueError: ``half`` is something else, or the half is empty.
    """
    root, length, middle = sequence.root, sequence.length, sequence.length // 2
    ranges = {None: (1, length), "first": (1, middle), "second": (middle + 1, length)}
    if half not in ranges:
        raise ValueError(f"{half=}: choose 'first', 'second' or None")
    first, last = ranges[half]
    if last < first:
        which = f"the {half} half of its seqLength of {length}"
        raise ValueError(f"{root}: {which} is empty")
    return first, last


def line_of_key(path: Path, key: str) -> int | None:
    """Line of a key in an ini file, from 1; None if it is not there."""
    rows = path.read_text(encoding="utf-8-sig", errors="replace").split("\n")
    names = [row.split("=")[0].strip().lower() for row in rows]
    return names.index(key.lower()) + 1 if key.lower() in names else None


def _is_sequence(folder: Path) -> bool:
    return (folder / "seqinfo.ini").is_file()


class _IniParser(configparser.ConfigParser):
    # Python ignores what follows the bracket, and takes "[name=A" for a key.
    SECTCRE = re.compile(r"\[(?P<header>[^]]+)\]\s*$")
    OPTCRE = re.compile(r"(?P<option>[^[=:].*?)\s*(?P<vi>[=:])\s*(?P<value>.*)$")


def _read_ini_section(path: Path) -> configparser.SectionProxy:
    """The ``[Sequence]`` section of a ``seqinfo.ini``."""
    if not path.is_file():
        raise FileNotFoundError(
            f"{path}: missing; every MOTChallenge sequence folder has one, so check "
            "the path or restore the file from the data set"
        )
    parser = _IniParser(interpolation=None, default_section="", comment_prefixes="#;")
    try:
        parser.read_string(read_text(path))
    except configparser.MissingSectionHeaderError as error:
        what = "expected the section header [Sequence] before this"
        raise ValueError(f"{path}:{error.lineno}: {what}") from error
    except configparser.ParsingError as error:
        what = "not understood, expected KEY=VALUE"
        raise ValueError(f"{path}:{error.errors[0][0]}: {what}") from error
    except (configparser.DuplicateOptionError, configparser.DuplicateSectionError) as e:
        raise ValueError(f"{path}:{e.lineno}: {e.message}, expected it once") from e
    if not parser.has_section("Sequence"):
        raise ValueError(f"{path}: no section [Sequence], where the keys are expected")
    return parser["Sequence"]


def _positive(path: Path, info: Mapping, key: str, number: type[Number]) -> Number:
    """A key of ``seqinfo.ini`` as a positive ``number`` (int or float)."""
    text = info.get(key, "")
    with contextlib.suppress(ValueError):
        parse_number(text)
        value = number(text)
        if math.isfinite(value) and value > 0:
            return value
    found = repr(text) if key in info else "missing"
    kind = "whole number" if number is int else "number"
    raise ValueError(f"{path}: key {key} is {found}, expected a positive {kind}")
