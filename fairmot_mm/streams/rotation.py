"""Files of a stream, cut by time."""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Protocol

import numpy as np
from mmengine.structures import InstanceData

from .frame import Frame
from .wall_clock import WallClock

_EPOCH = datetime.fromtimestamp(0, UTC)
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


class Sink(Protocol):
    """Where the tracks of one stream go."""

    def write(self, frame: Frame, tracks: InstanceData) -> np.ndarray | None:
        """Add the tracks of a frame, on the CPU.

        Returns:
            The frame with its tracks drawn, if that is what is written.
        """

    def close(self) -> None:
        """Finish what was written."""


class LateSink:
    """Opens its sink with the first frame: without one, a file of before stays.

    Args:
        make: Opens the sink for the path.
        path: The file.
    """

    def __init__(self, make: Callable[[Path], Sink], path: str | Path) -> None:
        self.make, self.path = make, Path(path)
        self._sink: Sink | None = None

    def write(self, frame: Frame, tracks: InstanceData) -> np.ndarray | None:
        """Add the tracks of a frame; see :meth:`Sink.write`.

        Raises:
            OSError: The file cannot be written.
        """
        if self._sink is None:
            self._sink = self.make(self.path)
        return self._sink.write(frame, tracks)

    def close(self) -> None:
        """Finish the file.

        Raises:
            OSError: It cannot be finished.
        """
        if self._sink is not None:
            self._sink.close()


class RotatingSink:
    """Starts a new sink at full multiples of a time, in UTC.

    Each file is named with the start of its interval: cut by the hour, ``door.csv``
    becomes ``door-20261127T010000Z.csv`` and so on. A file that is there already stays,
    also after a restart within the interval: ``door-20261127T010000Z-2.csv`` is next.
    A file is finished when the first frame of a later interval is written.

    Args:
        make: Opens a sink for a path.
        path: The name without times.
        seconds: Length of an interval; they are counted from 1970, so those of a day
            start at midnight.
        start: See :class:`WallClock`.
    """

    def __init__(
        self,
        make: Callable[[Path], Sink],
        path: str | Path,
        seconds: int,
        start: datetime | None = None,
    ) -> None:
        self.make, self.path = make, Path(path)
        self.length = timedelta(seconds=seconds)
        self._clock = WallClock(start)
        self._sink: Sink | None = None
        self._begin, self._part = _EPOCH, self.path

    def write(self, frame: Frame, tracks: InstanceData) -> np.ndarray | None:
        """Add the tracks of a frame; see :meth:`Sink.write`.

        Raises:
            OSError: A file cannot be written or finished.
        """
        now = self._clock.at(frame)
        # A clock that is set back a little starts no file.
        here = self._begin - self.length <= now < self._begin + self.length
        if not here:
            self.close()
            self._begin = now - (now - _EPOCH) % self.length
            name = f"{self.path.stem}-{self._begin:%Y%m%dT%H%M%SZ}{self.path.suffix}"
            self._part = free_path(self.path.with_name(name))
        if self._sink is None:
            # On a full disk this is tried again with each frame: by the same name.
            self._sink = self.make(self._part)
        return self._sink.write(frame, tracks)

    def close(self) -> None:
        """Finish the last file.

        Raises:
            OSError: It cannot be finished.
        """
        sink, self._sink = self._sink, None
        self._begin = _EPOCH  # a frame after it starts another file
        if sink is not None:
            sink.close()


def sink_at(
    make: Callable[[Path], Sink],
    path: str | Path,
    rotate: int | None = None,
    start: datetime | None = None,
) -> Sink:
    """A sink whose file begins with the first frame.

    Args:
        make: Opens a sink for a path.
        path: The file, or its name without times.
        rotate: Seconds after which another file begins, see :class:`RotatingSink`; None
            writes a single one.
        start: See :class:`WallClock`.
    """
    if rotate is None:
        return LateSink(make, path)
    return RotatingSink(make, path, rotate, start)


def free_path(path: Path) -> Path:
    """The path, or where there is a file already ``NAME-2.mp4``, ``NAME-3.mp4``, ..."""
    free, number = path, 1
    while free.exists():
        number += 1
        free = path.with_name(f"{path.stem}-{number}{path.suffix}")
    return free


def parse_duration(text: str) -> int:
    """Seconds of a duration such as ``15s``, ``30m``, ``1h`` or ``1d``.

    Raises:
        ValueError: It is none.
    """
    found = re.fullmatch(r"([0-9]{1,9})([smhd])", text.strip())
    if found is None or int(found[1]) == 0:
        raise ValueError(
            f"duration {text!r}: expected a whole number above 0 with s, m, h or d, "
            "as 15s, 30m, 1h"
        )
    return int(found[1]) * _UNITS[found[2]]
