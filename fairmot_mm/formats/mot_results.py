"""Result files in MOTChallenge's format, read and written."""

from pathlib import Path

import numpy as np
from mmengine.structures import InstanceData

from .tables import check_keys, read_table

# Frame, identity, x, y, w, h, score.
RESULT_LINE = "%d,%d,%.3f,%.3f,%.3f,%.3f,%.4f,-1,-1,-1"
# The same and the class, from 1, where VisDrone's results have it.
CLASS_RESULT_LINE = "%d,%d,%.3f,%.3f,%.3f,%.3f,%.4f,%d,-1,-1"


def result_rows(frame_number: int, tracks: InstanceData) -> np.ndarray:
    """Rows of a result file from the tracks of one frame.

    Args:
        frame_number: Number of the frame, from 1.
        tracks: ``bboxes`` (N, 4) xyxy in pixels, ``scores`` and ``instances_id``.

    Returns:
        (N, 7): frame, identity, x, y, w, h, score.
    """
    tracks = tracks.numpy()
    boxes = tracks.bboxes.astype(np.float64).reshape(-1, 4)
    return np.column_stack(
        (
            np.full(len(boxes), frame_number),
            tracks.instances_id,
            boxes[:, :2],
            boxes[:, 2:] - boxes[:, :2],
            tracks.scores,
        )
    )


def write_results(path: str | Path, rows: np.ndarray) -> None:
    """Write tracks the way the benchmark takes them, sorted by (frame, id).

    Args:
        path: File to write; its folder is created.
        rows: (N, 7): frame (from 1), id, x, y, w, h in pixels, score.
    """
    path = Path(path)
    rows = np.asarray(rows, dtype=np.float64).reshape(-1, 7)
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savetxt(
        path,
        rows[np.lexsort((rows[:, 1], rows[:, 0]))],
        fmt=RESULT_LINE,
    )


def read_results(path: str | Path, length: int | None = None) -> np.ndarray:
    """Read and check a result file.

    Args:
        path: Lines of ``frame,id,x,y,w,h[,score[,...]]``; may be empty.
        length: Frames of the sequence, if results beyond it are an error.

    Returns:
        (N, 7) float64, sorted by (frame, id): frame, id, x, y, w, h, score (1 if
        the file has none).

    Raises:
        FileNotFoundError: The file is missing.
        ValueError: ``FILE:LINE`` is not what it should be: not a finite number, too
            few columns, a frame below 1 or beyond ``length``, an identity twice in a
            frame.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such result file")
    table = read_table(path, min_columns=6)
    values = check_keys(table, {0: "frame", 1: "id"}, length).values
    if values.shape[1] == 6:
        values = np.column_stack((values, np.ones(len(values))))
    return values[:, :7]
