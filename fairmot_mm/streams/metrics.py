"""Figures of streams for Prometheus."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from .view import StreamStatus, StreamView

if TYPE_CHECKING:
    from prometheus_client import Metric

# Name, documentation and value; Prometheus appends _total to counters.
_COUNTERS = (
    ("fairmot_frames", "Frames tracked", lambda status: status.frames),
    ("fairmot_dropped_frames", "Frames passed over", lambda status: status.dropped),
    ("fairmot_losses", "How often it was lost", lambda status: status.losses),
)
_GAUGES = (
    ("fairmot_up", "1 while it runs", lambda status: status.state == "running"),
    ("fairmot_tracks", "Tracks on the last frame", lambda status: status.tracks),
    ("fairmot_frame_rate", "Frames a second", lambda status: status.fps),
    ("fairmot_frame_age_seconds", "Age of the last frame", lambda status: status.age),
)


class StreamCollector:
    """Reads the streams' figures whenever Prometheus asks."""

    def __init__(self, views: Sequence[StreamView]) -> None:
        self._views = views

    def collect(self) -> Iterator["Metric"]:
        """The figures, by stream."""
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

        statuses = [view.status() for view in self._views]
        for family, descriptions in (
            (CounterMetricFamily, _COUNTERS),
            (GaugeMetricFamily, _GAUGES),
        ):
            for name, documentation, value in descriptions:
                metric = family(name, documentation, labels=("stream",))
                for status in statuses:
                    if value(status) is not None:
                        metric.add_metric((status.name,), value(status))
                yield metric
        crossings = CounterMetricFamily(
            "fairmot_line_crossings",
            "Crossings of a line",
            labels=("stream", "line", "class", "direction"),
        )
        visitors = CounterMetricFamily(
            "fairmot_zone_visitors",
            "Visits of a zone",
            labels=("stream", "zone"),
        )
        present = GaugeMetricFamily(
            "fairmot_zone_present",
            "Tracks inside a zone",
            labels=("stream", "zone"),
        )
        for status, row in _rows(statuses):
            labels = (status.name, row["name"])
            if row["kind"] == "line":
                for direction in ("in", "out"):
                    by_class = (*labels, row["class"], direction)
                    crossings.add_metric(by_class, row[direction])
            else:
                visitors.add_metric(labels, row["visitors"])
                present.add_metric(labels, row["present"])
        yield from (crossings, visitors, present)


def _rows(statuses: Sequence[StreamStatus]) -> Iterator[tuple[StreamStatus, dict]]:
    for status in statuses:
        for row in status.counts:
            yield status, row
