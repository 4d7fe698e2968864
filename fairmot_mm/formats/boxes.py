"""The two ways to write a box: two corners, or a corner and the size."""

import numpy as np


def xywh_to_xyxy(boxes: np.ndarray) -> np.ndarray:
    """(N, 4) boxes x1, y1, x2, y2 from x, y, width, height."""
    return np.hstack((boxes[:, :2], boxes[:, :2] + boxes[:, 2:]))


def xyxy_to_xywh(boxes: np.ndarray) -> np.ndarray:
    """(N, 4) boxes x, y, width, height from x1, y1, x2, y2."""
    return np.hstack((boxes[:, :2], boxes[:, 2:] - boxes[:, :2]))
