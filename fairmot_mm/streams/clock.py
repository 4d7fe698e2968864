# Seconds that a live source's timestamps may run ahead of the clock on the wall.
_FAR = 10.0
# Steps back up to here are frames out of order; the timestamps stay trusted.
_OUT_OF_ORDER = 1.0


class StreamClock:
    """Times of a stream that always rise, from timestamps that may not.

    Where a source has no timestamps, or they jump, time goes on by one frame interval.

    Args:
        interval: Seconds from frame to frame where the timestamps don't tell.
        live: Frames arrive as they are made, so that a step of more than ten seconds
            beyond the time waited is a jump. In recordings it is a gap.
    """

    def __init__(self, interval: float, live: bool) -> None:
        self.interval, self.live = interval, live
        self.time = 0.0
        self._arrived: float | None = None
        self._offset: float | None = None
        self._restarted = False

    def tick(self, timestamp: float | None, arrived: float) -> float:
        """Seconds since the first frame.

        Args:
            timestamp: The source's own, in seconds; None if it has none.
            arrived: ``time.monotonic()`` of the frame.
        """
        if self._arrived is None:
            waited, self.time = 0.0, 0.0
        else:
            waited = arrived - self._arrived
            self.time = self._next(timestamp, waited)
        if timestamp is not None and self._offset is None:
            self._offset = timestamp - self.time
        self._arrived = arrived
        return self.time

    def restart(self) -> None:
        """Expect other timestamps from here on, after the time that has passed."""
        self._offset = None
        self._restarted = True

    def _next(self, timestamp: float | None, waited: float) -> float:
        regular = self.time + self.interval
        if self._restarted:
            self._restarted = False
            return self.time + max(waited, self.interval)
        if timestamp is None or self._offset is None:
            return regular
        step = timestamp - self._offset - self.time
        if step < -_OUT_OF_ORDER or (self.live and step > waited + _FAR):
            self._offset = None
            return regular
        return self.time + step if step > 0 else regular
