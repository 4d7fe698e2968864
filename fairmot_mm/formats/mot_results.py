"""Result files in MOTChallenge's format, read and written."""

from pathlib import Path

import numpy as np
from mmengine.structures import InstanceData

from .boxes import xyxy_to_xywh
from .tables import check_keys, read_table
from .writing import write_file

# Frame, identity, x, y, w, h, score and, where VisDrone's results have it, the class.
_LINE = "%d,%d,%.3f,%.3f,%.3f,%.3f,%.4f,%d,-1,-1\n"


def result_rows(frame_number: int, tracks: InstanceData) -> np.ndarray:
    """Rows (N, 7) of a result file: frame, identity, x, y, w, h, score.

    Args:
        frame_number: Number of the frame, from 1.
        tracks: ``bboxes`` (N, 4) xyxy in pixels, ``scores`` and ``instances_id``.
    """
    tracks = tracks.numpy()
    boxes = xyxy_to_xywh(tracks.bboxes.astype(np.float64).reshape(-1, 4))
    frames = np.full(len(boxes), frame_number)
    return np.column_stack((frames, tracks.instances_id, boxes, tracks.scores))


def result_lines(rows: np.ndarray, classes: np.ndarray | None = None) -> str:
    """Lines of a result file in the benchmark's format, sorted by (frame, id).

    Args:
        rows: (N, 7) frame (from 1), id, x, y, w, h in pixels, score.
        classes: (N,) from 1, for the eighth column, which is -1 if None.
    """
    classes = np.full(len(rows), -1) if classes is None else classes
    columns = np.column_stack((rows, classes))
    columns = columns[np.lexsort((rows[:, 1], rows[:, 0]))]
    return "".join(_LINE % tuple(row) for row in columns.tolist())


def write_results(
    path: str | Path, rows: np.ndarray, classes: np.ndarray | None = None
) -> None:
    """Write :func:`result_lines` by :func:`write_file`, whole or not at all."""
    write_file(Path(path), result_lines(rows, classes).encode())


def read_results(
    path: str | Path, length: int | None = None, with_classes: bool = False
) -> np.ndarray:
    """Read and check a result file.

    Args:
        path: Lines of ``frame,id,x,y,w,h[,score[,...]]``; may be empty.
        length: Frames of the sequence, if results beyond it are an error.
        with_classes: Read the eighth column as well: the class, from 1.

    Returns:
        (N, 7) float64, sorted by (frame, id): frame, id, x, y, w, h, score (1 if the
        file has none); (N, 8) with classes.

    Raises:
        FileNotFoundError: The file is missing.
        ValueError: ``FILE:LINE`` has too few columns, something other than finite
            numbers, a frame outside 1 to ``length``, an identity that its frame has
            already, or a class that is not a whole number from 1.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such result file")
    table = read_table(path, min_columns=8 if with_classes else 6)
    integers = {0: "frame", 1: "id"} | ({7: "class"} if with_classes else {})
    table = check_keys(table, integers, length)
    values = table.values
    if with_classes:
        table.without(
            "unknown class",
            values[:, 7] < 1,
            lambda i: f"class {values[i, 7]:.0f}, expected 1 or more",
        )
    if values.shape[1] == 6:
        values = np.column_stack((values, np.ones(len(values))))
    return values[:, : 8 if with_classes else 7]
