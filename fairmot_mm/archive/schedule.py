"""Who does what next: the longest first, so that all workers end together."""

import heapq
import itertools
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

from .pieces import Piece
from .videos import Video

# Videos probed in one go.
_PROBES = 16


@dataclass(frozen=True)
class Job:
    """What a worker does in one go.

    Attributes:
        videos: Videos to probe, or none.
        pieces: Pieces to track together, or none.
    """

    videos: tuple[Video, ...] = ()
    pieces: tuple[Piece, ...] = ()

    def __len__(self) -> int:
        return len(self.videos) + len(self.pieces)


class Schedule:
    """Jobs that wait: first all probes, then the longest pieces.

    Those whose worker died are tried again alone, so that it is known which of them it
    was.

    Args:
        batch: Pieces whose frames go through the network together.
    """

    def __init__(self, batch: int = 1) -> None:
        self.batch = batch
        self._videos: deque[Video] = deque()
        self._alone: deque[Job] = deque()
        self._pieces: list[tuple[int, int, Piece]] = []
        self._order = itertools.count()

    def __len__(self) -> int:
        """How many workers at most would have something to do, now or soon."""
        # Each video has at least one piece.
        pieces = len(self._videos) + len(self._pieces)
        return len(self._alone) + -(-pieces // self.batch)

    def add_videos(self, videos: Iterable[Video]) -> None:
        """Add videos to probe."""
        self._videos += videos

    def add_pieces(self, pieces: Iterable[Piece]) -> None:
        """Add pieces to track."""
        for piece in pieces:
            # Of equal ones the first: those of one video stay together.
            entry = (-piece.num_frames, next(self._order), piece)
            heapq.heappush(self._pieces, entry)

    def take(self, workers: int = 1) -> Job | None:
        """The next job, if any.

        Args:
            workers: How many share what waits: each gets some of a few pieces before
                one gets a whole batch.
        """
        if self._alone:
            return self._alone.popleft()
        if self._videos:
            share = -(-len(self._videos) // max(1, workers))
            count = min(_PROBES, share)
            return Job(videos=tuple(self._videos.popleft() for _ in range(count)))
        if not self._pieces:
            return None
        share = -(-len(self._pieces) // max(1, workers))
        count = min(self.batch, share)
        taken = (heapq.heappop(self._pieces) for _ in range(count))
        return Job(pieces=tuple(piece for _, _, piece in taken))

    def again(self, job: Job) -> None:
        """Try the parts of a job alone."""
        self._alone += [Job(videos=(video,)) for video in job.videos]
        self._alone += [Job(pieces=(piece,)) for piece in job.pieces]

    def drop(self, video: str) -> None:
        """Leave out the waiting pieces of a video."""
        kept = [entry for entry in self._pieces if entry[2].video != video]
        heapq.heapify(kept)
        self._pieces = kept
        alone = [x for x in self._alone if video not in {p.video for p in x.pieces}]
        self._alone = deque(alone)
