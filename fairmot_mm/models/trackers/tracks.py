from dataclasses import dataclass
from typing import Self

import numpy as np


@dataclass
class Table:
    """Columns of one length; ``table[index]`` selects and orders all of them.

    Attributes:
        scores: (N,).
        labels: (N,) classes.
        embeddings: (N, D) of length 1.
    """

    scores: np.ndarray
    labels: np.ndarray
    embeddings: np.ndarray

    def __len__(self) -> int:
        return len(self.scores)

    def __getitem__(self, index: np.ndarray) -> Self:
        return type(self)(
            **{name: column[index] for name, column in vars(self).items()}
        )

    def __add__(self, other: Self) -> Self:
        pairs = zip(vars(self).values(), vars(other).values(), strict=True)
        return type(self)(*map(np.concatenate, pairs))


@dataclass
class Tracks(Table):
    """N tracks as arrays: the last scores, smoothed embeddings, and more.

    Attributes:
        ids: (N,) identities.
        means: (N, 8) of the Kalman filter's state.
        covariances: (N, 8, 8) of the same.
        first_frame: (N,) frame of the first detection; between two frames where time
            does not go by whole ones.
        last_frame: (N,) frame of the last detection.
        tracked: (N,) bool, found on the last frame; lost if not.
        confirmed: (N,) bool, found on a second frame, or there from the start.
        expired: (N,) bool, was lost for too long at some time.
    """

    ids: np.ndarray
    means: np.ndarray
    covariances: np.ndarray
    first_frame: np.ndarray
    last_frame: np.ndarray
    tracked: np.ndarray
    confirmed: np.ndarray
    expired: np.ndarray

    @property
    def boxes(self) -> np.ndarray:
        """Boxes (N, 4) xyxy in pixels."""
        height = self.means[:, 3]
        sides = np.column_stack((self.means[:, 2] * height, height))
        top_left = self.means[:, :2] - sides / 2
        return np.concatenate((top_left, top_left + sides), axis=1)
