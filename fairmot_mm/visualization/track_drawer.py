from collections.abc import Sequence, Sized
from itertools import pairwise

import cv2
import numpy as np

from fairmot_mm.structures.arrays import ArrayLike, to_numpy

from .primitives import BLACK, identity_colour, put_text, whole_pixels


class TrackDrawer:
    """Draws the tracks of one video: boxes, identities and trails.

    Args:
        trail_length: Number of frames, the current one included, whose bottom-centre
            points make a track's trail. 0 draws none.

    Raises:
        ValueError: ``trail_length`` is negative.
    """

    def __init__(self, trail_length: int = 30) -> None:
        if trail_length < 0:
            raise ValueError(f"trail_length must not be negative, got {trail_length}")
        self.trail_length = trail_length
        self._frame_number = 0
        # Identity -> (frame number, x, y), oldest first.
        self._trails: dict[int, list[tuple[int, int, int]]] = {}

    def draw(
        self,
        frame: np.ndarray,
        bboxes: ArrayLike,
        instances_id: ArrayLike,
        labels: ArrayLike | None = None,
        class_names: Sequence[str] | None = None,
    ) -> np.ndarray:
        """Draw the tracks of the video's next frame.

        Args:
            frame: (H, W, 3) uint8 BGR image; the drawing is another one.
            bboxes: (N, 4) xyxy in pixels; may reach outside the image. Those with NaN
                or infinity are not drawn.
            instances_id: (N,) integer identities.
            labels: (N,) indices into ``class_names``.
            class_names: Written only if there are several and ``labels`` is given.

        Raises:
            ValueError: The frame is no colour image, or the arrays differ in length.
        """
        if frame.ndim != 3 or frame.shape[2] != 3 or frame.dtype != np.uint8:
            raise ValueError(
                f"frame must be (H, W, 3) uint8, got {frame.shape} {frame.dtype}"
            )
        boxes = to_numpy(bboxes).reshape(-1, 4)
        ids = [int(identity) for identity in to_numpy(instances_id)]
        captions = [str(identity) for identity in ids]
        _check_length("instances_id", ids, len(boxes))
        if labels is not None and class_names is not None and len(class_names) > 1:
            labels = to_numpy(labels)
            _check_length("labels", labels, len(boxes))
            names = (class_names[int(label)] for label in labels)
            captions = [f"{n} {c}" for c, n in zip(captions, names, strict=True)]

        drawn = np.flatnonzero(np.isfinite(boxes).all(axis=1))
        tracks = [(ids[i], captions[i], whole_pixels(boxes[i]).tolist()) for i in drawn]
        self._frame_number += 1
        self._update_trails(tracks)
        image = frame.copy()
        width = max(1, round(min(image.shape[:2]) / 250))
        self._draw_trails(image, width)
        for identity, _, (x1, y1, x2, y2) in tracks:
            cv2.rectangle(image, (x1, y1), (x2, y2), identity_colour(identity), width)
        # After all boxes, so that none covers a caption.
        for identity, caption, (x1, y1, *_) in tracks:
            put_text(image, caption, (x1, y1), identity_colour(identity))
        count = f"{len(tracks)} track" + ("" if len(tracks) == 1 else "s")
        put_text(image, f"frame {self._frame_number} - {count}", (0, 0), BLACK)
        return image

    def _update_trails(self, tracks: Sequence[tuple[int, str, list[int]]]) -> None:
        for identity, _, (x1, _, x2, y2) in tracks:
            point = self._frame_number, (x1 + x2) // 2, y2
            self._trails.setdefault(identity, []).append(point)
        before = self._frame_number - self.trail_length
        for identity, trail in list(self._trails.items()):
            self._trails[identity] = [point for point in trail if point[0] > before]
            if not self._trails[identity]:
                del self._trails[identity]

    def _draw_trails(self, image: np.ndarray, width: int) -> None:
        height, columns = image.shape[:2]
        for identity, trail in self._trails.items():
            colour = np.array(identity_colour(identity))
            for (_, *start), (number, *end) in pairwise(trail):
                freshness = 1 - (self._frame_number - number) / self.trail_length
                # Mixed with the pixel below, the trail fades without an overlay.
                row, column = np.clip((end[1], end[0]), 0, (height - 1, columns - 1))
                mixed = freshness * colour + (1 - freshness) * image[row, column]
                thickness = max(1, round(2 * width * freshness))
                cv2.line(image, start, end, mixed.tolist(), thickness, cv2.LINE_AA)


def _check_length(name: str, values: Sized, length: int) -> None:
    if len(values) != length:
        raise ValueError(f"{name} has {len(values)} entries for {length} boxes")
