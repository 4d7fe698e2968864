"""Sequences whose figures were computed by hand."""

from pathlib import Path

from fairmot_mm.evaluation import evaluate, load_cases
from fairmot_mm.evaluation.figures import NAMES, Figures
from fairmot_mm.formats.mot import MOTSequence

# Three places that do not overlap: two people's and a static person's.
A, B, STATIC, ELSEWHERE = ((x, 100, 50, 100) for x in (100, 300, 500, 700))

# Three frames. A is followed by 10, then by 11: one switch. B is lost on frame 2: one
# miss. 30 sits on the static person: forgiven. 40 sits on nothing: one false positive.
GT = [(frame, *person) for frame in (1, 2, 3) for person in ((1, A), (2, B))]
RESULTS = [
    (1, 10, A),
    (1, 20, B),
    (2, 11, A),
    (2, 30, STATIC),
    (3, 11, A),
    (3, 20, B),
    (3, 40, ELSEWHERE),
]
# 6 boxes, 5 found: MOTA = 1 - (1 + 1 + 1) / 6. Identity: A by 11 (2 boxes) and B by
# 20 (2) out of 6 true and 6 found boxes. Every match is exact, so all thresholds
# agree: DetA = 5 / (5 + 1 + 1); AssA = (1 * 1/3 + 2 * 2/3 + 2 * 2/3) / 5.
TRUTH = {
    "HOTA": (5 / 7 * 0.6) ** 0.5,
    "DetA": 5 / 7,
    "AssA": 0.6,
    "MOTA": 0.5,
    "MOTP": 1.0,
    "IDF1": 4 / 6,
    "IDP": 4 / 6,
    "IDR": 4 / 6,
    "IDSW": 1,
    "FP": 1,
    "FN": 1,
    "MT": 1,
    "ML": 0,
    "Frag": 1,
}
WITHOUT_HOTA = {key: TRUTH[key] for key in NAMES[3:]}


def make_sequence(
    folder: Path,
    name: str = "MOT17-90",
    results: list = RESULTS,
    distractor: int | None = 7,
    gt: list = GT,
) -> MOTSequence:
    """Write ground truth and results; MOT15's format if there is no distractor."""
    sequence = MOTSequence(folder / name, name, 3, 30.0, 1000, 500)
    tail = "-1,-1,-1" if distractor is None else "1,1"
    lines = [f"{f},{i},{','.join(map(str, box))},1,{tail}" for f, i, box in gt]
    if distractor is not None:
        box = ",".join(map(str, STATIC))
        lines += [f"{f},3,{box},0,{distractor},1" for f in (1, 2, 3)]
    sequence.gt_path.parent.mkdir(parents=True)
    sequence.gt_path.write_text("\n".join(lines))
    lines = [f"{f},{i},{','.join(map(str, box))},1,-1,-1,-1" for f, i, box in results]
    (folder / f"{name}.txt").write_text("\n".join(lines))
    return sequence


def score(
    backend: str, sequences: list[MOTSequence], folder: Path, frames: dict | None = None
) -> Figures:
    return evaluate(load_cases(sequences, folder, frames), backend)
