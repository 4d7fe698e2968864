import time
from datetime import UTC, datetime, timedelta

from .frame import Frame


class WallClock:
    """Date and time of a stream's frames.

    Args:
        start: When the first frame was taken, with its time zone, for recordings; None
            for cameras, whose frames were taken when they arrived.

    Raises:
        ValueError: ``start`` has no time zone.
    """

    def __init__(self, start: datetime | None = None) -> None:
        if start is not None and start.tzinfo is None:
            raise ValueError(
                f"start {start} has no time zone: give one, as in 2026-11-27T08:00:00Z"
            )
        self.start = start

    def at(self, frame: Frame) -> datetime:
        """Date and time of a frame, in UTC."""
        if self.start is not None:
            return self.start.astimezone(UTC) + timedelta(seconds=frame.time)
        age = time.monotonic() - frame.arrived
        return datetime.now(UTC) - timedelta(seconds=age)


def iso_time(moment: datetime) -> str:
    """A time in UTC by ISO 8601, as ``2026-11-27T01:00:00.040Z``."""
    return f"{moment.replace(tzinfo=None).isoformat(timespec='milliseconds')}Z"
