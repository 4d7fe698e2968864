r"""Score MOTChallenge result files against ground truth.

    python tools/analysis_tools/eval_mot.py \
        --gt-root MOT17/train --results results/ --out figures.json

The result file of a sequence is ``NAME.txt`` in the results folder. With --classes its
eighth column is the class, from 1, as track_video.py writes it, and so is the ground
truth's:

    python tools/analysis_tools/eval_mot.py --gt-root footage --results results/ \
        --class-names person car bus --classes car bus
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from fairmot_mm.formats.mot import (
    MOT_CLASSES,
    MOTSequence,
    folder_name,
    read_gt,
    read_sequence,
)
from fairmot_mm.utils.command_line import Parser, command

if TYPE_CHECKING:  # so that --help need not wait for NumPy
    from fairmot_mm.evaluation import ClassNumbers

_GT_FILES = ("gt/gt.txt", "gt.txt")


def make_parser() -> Parser:
    """Describe the command line."""
    parser = Parser(__doc__)
    parser.add_argument(
        "--gt-root", type=Path, required=True, help="folder of sequence folders"
    )
    parser.add_argument(
        "--results", type=Path, required=True, help="folder of result files NAME.txt"
    )
    parser.add_argument("--out", type=Path, help="JSON file for the figures")
    parser.add_argument(
        "--backend", default="trackeval", help="trackeval (default) or motmetrics"
    )
    parser.add_argument(
        "--sequences",
        nargs="+",
        metavar="NAME",
        help="sequence folders to score; default: all, which must have results",
    )
    parser.add_argument(
        "--classes", nargs="+", metavar="NAME", help="classes to score, a row for each"
    )
    parser.add_argument(
        "--class-names",
        nargs="+",
        metavar="NAME",
        help="all classes, in the order of their numbers from 1, of which mark 0 makes "
        "ignored regions; default: MOT17's, whose pedestrians are scored under the "
        "benchmark's protocol",
    )
    return parser


def find_folders(root: Path) -> dict[str, Path]:
    """Folders with ground truth by name: ``root`` itself, or those in it."""
    if not root.is_dir():
        raise FileNotFoundError(f"{root}: no such folder of sequences")
    candidates = [root] if _has_gt(root) else sorted(root.iterdir())
    folders = {folder_name(path): path for path in candidates if _has_gt(path)}
    if not folders:
        raise ValueError(f"{root}: no ground truth, expected SEQUENCE/gt/gt.txt in it")
    return folders


def choose_folders(folders: dict[str, Path], names: Sequence[str]) -> list[Path]:
    """The folders of ``--sequences``."""
    unknown = [name for name in names if name not in folders]
    if unknown:
        raise ValueError(
            f"--sequences: no ground truth of {', '.join(unknown)}; "
            f"there is {', '.join(folders)}"
        )
    return [folders[name] for name in names]


def load_sequence(folder: Path) -> MOTSequence:
    """Describe a sequence, with less than training needs.

    The ground truth may be ``gt.txt`` instead of ``gt/gt.txt``; without
    ``seqinfo.ini`` the sequence is assumed to end on its last annotated frame.
    """
    gt_file = next(name for name in _GT_FILES if (folder / name).is_file())
    if (folder / "seqinfo.ini").is_file():
        return dataclasses.replace(read_sequence(folder), gt_file=gt_file)
    # Frame rate and size do not affect the figures.
    sequence = MOTSequence(
        root=folder,
        name=folder_name(folder),
        length=sys.maxsize,
        frame_rate=30.0,
        width=1,
        height=1,
        gt_file=gt_file,
    )
    from mmengine.logging import print_log

    length = int(read_gt(sequence).frames.max())
    print_log(
        f"{folder}: no seqinfo.ini; assumed to end on frame {length}, the last one of "
        f"{gt_file}",
        logger="current",
    )
    return dataclasses.replace(sequence, length=length)


def check_results_complete(sequences: Sequence[MOTSequence], results: Path) -> None:
    """Refuse to leave out a sequence unless ``--sequences`` does."""
    found = [x for x in sequences if (results / f"{x.name}.txt").is_file()]
    missing = [x for x in sequences if x not in found]
    if not found:
        names = ", ".join(sequence.name for sequence in sequences)
        raise ValueError(f"{results}: no result file of {names}, expected NAME.txt")
    if missing:
        raise ValueError(
            f"{results}: no result file of {', '.join(x.name for x in missing)}; to "
            "score the others alone give --sequences "
            + " ".join(folder_name(x.root) for x in found)
        )


def number_classes(
    names: Sequence[str], class_names: Sequence[str] | None
) -> dict[str, ClassNumbers]:
    """Numbers of the classes to score, the same in ground truth and results."""
    from fairmot_mm.evaluation import ClassNumbers, mot_classes

    if class_names is None:
        return mot_classes(names, MOT_CLASSES)
    for name in names:
        if name not in class_names:
            known = ", ".join(class_names)
            raise ValueError(f"--classes: no {name!r} in --class-names {known}")
    numbers = {name: class_names.index(name) + 1 for name in names}
    return {name: ClassNumbers(x, x) for name, x in numbers.items()}


@command(make_parser)
def main(args: argparse.Namespace) -> None:
    """Score, print the table and write the figures."""
    from fairmot_mm.evaluation import (
        BACKENDS,
        by_class,
        evaluate,
        evaluate_by_class,
        format_table,
        load_cases,
    )

    if args.backend not in BACKENDS:
        raise ValueError(
            f"--backend: no {args.backend}, expected {' or '.join(BACKENDS)}"
        )
    if not args.results.is_dir():
        raise FileNotFoundError(f"{args.results}: no such folder of result files")
    folders = find_folders(args.gt_root)
    if args.sequences is None:
        sequences = [load_sequence(folder) for folder in folders.values()]
        check_results_complete(sequences, args.results)
    else:
        chosen = choose_folders(folders, args.sequences)
        sequences = [load_sequence(folder) for folder in chosen]
    if args.class_names is not None and args.classes is None:
        raise ValueError("--class-names needs --classes, those of them to score")
    if args.classes is None:
        figures = evaluate(load_cases(sequences, args.results), args.backend)
        print(format_table(figures))
    else:
        numbers = number_classes(args.classes, args.class_names)
        cases = load_cases(sequences, args.results, with_classes=True)
        figures = evaluate_by_class(by_class(cases, numbers), args.backend)
        print(format_table(figures, "Class"))
    if args.out is not None:
        args.out.parent.mkdir(parents=True, exist_ok=True)
        args.out.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")


def _has_gt(folder: Path) -> bool:
    return any((folder / name).is_file() for name in _GT_FILES)


if __name__ == "__main__":
    sys.exit(main())
