from dataclasses import dataclass, fields

import numpy as np


@dataclass
class Tracks:
    """N tracks as arrays; ``tracks[index]`` selects and orders all of them.

    Attributes:
        ids: (N,) identities.
        labels: (N,) classes.
        scores: (N,) of the last detection.
        means: (N, 8) of the Kalman filter's state.
        covariances: (N, 8, 8) of the same.
        embeddings: (N, D) of length 1, smoothed over time.
        first_frame: (N,) frame of the first detection.
        last_frame: (N,) frame of the last detection.
        tracked: (N,) bool, found on the last frame; lost if not.
        confirmed: (N,) bool, found on a second frame, or there from the start.
        expired: (N,) bool, was lost for too long at some time.
    """

    ids: np.ndarray
    labels: np.ndarray
    scores: np.ndarray
    means: np.ndarray
    covariances: np.ndarray
    embeddings: np.ndarray
    first_frame: np.ndarray
    last_frame: np.ndarray
    tracked: np.ndarray
    confirmed: np.ndarray
    expired: np.ndarray

    @classmethod
    def empty(cls) -> "Tracks":
        """No tracks."""
        ints, flags = np.empty(0, int), np.empty(0, bool)
        return cls(
            ids=ints,
            labels=ints,
            scores=np.empty(0, np.float32),
            means=np.empty((0, 8)),
            covariances=np.empty((0, 8, 8)),
            embeddings=np.empty((0, 0), np.float32),
            first_frame=ints,
            last_frame=ints,
            tracked=flags,
            confirmed=flags,
            expired=flags,
        )

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, index: np.ndarray) -> "Tracks":
        return Tracks(*(getattr(self, field.name)[index] for field in fields(self)))

    def __add__(self, other: "Tracks") -> "Tracks":
        return Tracks(
            *(
                np.concatenate((getattr(self, field.name), getattr(other, field.name)))
                for field in fields(self)
            )
        )

    @property
    def boxes(self) -> np.ndarray:
        """Boxes (N, 4) xyxy in pixels."""
        return state_boxes(self.means)


def state_boxes(means: np.ndarray) -> np.ndarray:
    """Boxes (N, 4) xyxy of states that begin with centre, aspect ratio and height."""
    height = means[:, 3]
    sides = np.column_stack((means[:, 2] * height, height))
    top_left = means[:, :2] - sides / 2
    return np.concatenate((top_left, top_left + sides), axis=1)
