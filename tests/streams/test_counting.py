import csv
import time
from contextlib import closing
from datetime import UTC, datetime

import numpy as np
import pytest
import torch
from mmengine.structures import InstanceData

from fairmot_mm.streams import (
    Counter,
    CountsSink,
    Frame,
    Line,
    Zone,
    parse_line,
    parse_zone,
    sink_at,
    to_supervision,
)

pytest.importorskip("supervision")
NAMES = ("person", "car")
# Upwards over it is "in", see Line.
DOOR = Line("door", (0, 50), (200, 50))
QUEUE = Zone("queue", ((50, 0), (150, 0), (150, 200), (50, 200)))


def tracks(*feet):
    """Tracks of (identity, label, x, y of the foot point), 10 wide and 40 high."""
    table = torch.tensor(feet, dtype=torch.float32).reshape(-1, 4)
    x, y = table[:, 2], table[:, 3]
    return InstanceData(
        bboxes=torch.stack((x - 5, y - 40, x + 5, y), 1),
        scores=torch.full((len(feet),), 0.5),
        labels=table[:, 1].long(),
        instances_id=table[:, 0].long(),
    )


def frame(number, seconds):
    return Frame(np.zeros((200, 200, 3), np.uint8), number, seconds, time.monotonic())


def run(counter, frames, step=0.1):
    for number, feet in enumerate(frames):
        counter.update(frame(number, number * step), tracks(*feet))
    return counter.counts()


def of_line(rows):
    return [(row["class"], row["in"], row["out"]) for row in rows]


def of_zone(rows):
    (row,) = rows
    return tuple(row[k] for k in ("present", "visitors", "dwell_mean", "dwell_max"))


def test_tracks_as_detections_of_supervision():
    detections = to_supervision(tracks((7, 1, 100, 60)))
    assert detections.xyxy.tolist() == [[95, 20, 105, 60]]
    assert detections.confidence.tolist() == [0.5]
    assert detections.class_id.tolist() == [1]
    assert detections.tracker_id.tolist() == [7]
    assert len(to_supervision(tracks())) == 0


def test_crossings_by_class_and_direction():
    # A person walks up over the line and a car comes down, 10 pixels a frame; another
    # person passes beside the line's end.
    frames = [
        [(1, 0, 100, 95 - 10 * i), (2, 1, 60, 5 + 10 * i), (3, 0, 300, 95 - 10 * i)]
        for i in range(10)
    ]
    rows = run(Counter([DOOR], [], NAMES), frames)
    assert of_line(rows) == [("person", 1, 0), ("car", 0, 1)]


def test_trembling_on_the_line_is_no_crossing():
    frames = [[(1, 0, 100, 52 if i % 4 < 2 else 48)] for i in range(40)]
    assert of_line(run(Counter([DOOR], [], NAMES), frames))[0] == ("person", 0, 0)


def test_a_track_that_is_missing_while_it_crosses():
    before, after = [[(1, 0, 100, 70)]] * 3, [[(1, 0, 100, 30)]] * 3
    for missing, expected in ((9, 1), (20, 0)):  # 0.9 and 2 seconds
        counter = Counter([DOOR], [], NAMES, patience=1.0)
        rows = run(counter, before + [[]] * missing + after)
        assert of_line(rows)[0] == ("person", expected, 0)


def test_lines_and_zones_from_text_count():
    door = parse_line("door=0,49.5,200,49.5")
    queue = parse_zone("queue=-50,-50,150.5,0,150,200,-50,200")
    frames = [[(1, 0, 100, 95 - 10 * i)] for i in range(10)]
    rows = run(Counter([door], [queue], NAMES), frames)
    assert of_line(rows[:2])[0] == ("person", 1, 0)
    assert of_zone(rows[2:]) == (1, 1, 0.9, 0.9)


def test_visits_of_a_zone():
    # From x = 0 in steps of 10: within from 50 to 150, so for frames 5 to 15.
    counter = Counter([], [QUEUE], NAMES)
    walk = [[(1, 0, 10 * i, 100)] for i in range(15)]
    assert of_zone(run(counter, walk)) == (1, 1, 0.9, 0.9)
    # A second one stays for 0.2 s, while the first one leaves.
    walk += [[(1, 0, 10 * i, 100), (2, 0, 100, 100)] for i in range(18, 21)]
    counter = Counter([], [QUEUE], NAMES)
    assert of_zone(run(counter, walk)) == (1, 2, pytest.approx(0.55), 0.9)
    # Out for a moment is one visit; for longer than the patience, two.
    for away, visitors in ((5, 1), (15, 2)):
        counter = Counter([], [QUEUE], NAMES, patience=1.0)
        there, outside = [(1, 0, 100, 100)], [(1, 0, 20, 100)]
        rows = run(counter, [there] * 3 + [outside] * away + [there])
        assert of_zone(rows)[:2] == (1, visitors)


def test_identities_that_start_anew():
    counter = Counter([DOOR], [QUEUE], NAMES)
    run(counter, [[(1, 0, 100, 70)]] * 5)
    counter.forget_tracks()
    rows = run(counter, [[(1, 0, 100, 30)]] * 5)
    assert of_line(rows[:2])[0] == ("person", 0, 0)
    assert of_zone(rows[2:])[:2] == (1, 2)


def test_memory_is_bounded():
    counter = Counter([DOOR], [QUEUE], NAMES)
    for i in range(1000):  # each track is seen in two frames, on both sides
        counter.update(frame(i, i / 10), tracks((i, 0, 100, 70), (i - 1, 0, 100, 30)))
    line, zone = counter._lines[0].zone, counter._zones[0]
    for kept in (
        counter._seen,
        zone._visits,
        line.crossing_state_history,
        line._confirmed_crossing_side,
        line._tracker_frames_absent,
    ):
        assert len(kept) < 30
    assert zone.visitors == 1001


def test_counts_over_time(tmp_path):
    path = tmp_path / "counts.csv"
    counter = Counter([DOOR], [QUEUE], ("person",))
    sink = CountsSink(path, counter)
    for i in range(10):
        now = frame(i, i / 10)
        people = tracks((1, 0, 100, 95 - 10 * i))
        counter.update(now, people)
        sink.write(now, people)
    sink.close()
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    got = [(r["time"], r["name"], r["in"], r["visitors"]) for r in rows]
    # On the other side at frames 5, 6, 7.
    assert got == [
        *(("0.0", "door", "0", ""), ("0.0", "queue", "", "1")),
        ("0.7", "door", "1", ""),
        *(("0.9", "door", "1", ""), ("0.9", "queue", "", "1")),
    ]
    assert rows[-1]["dwell_max"] == "0.9"
    assert rows[0]["wall_clock"].endswith("Z")


def test_counts_are_cut_by_time(tmp_path):
    """Each file begins with what has been counted so far, and ends with it."""
    start = datetime(2026, 11, 27, 0, 59, 59, 500000, UTC)
    counter = Counter([DOOR], [], ("person",))
    path = tmp_path / "yard.counts.csv"
    sink = sink_at(lambda part: CountsSink(part, counter), path, 3600, start)
    with closing(sink):
        for i in range(20):
            now = frame(i, i / 10)  # two people: over the line at frames 3 and 5
            people = tracks((1, 0, 100, 65 - 10 * i), (2, 0, 60, 85 - 10 * i))
            counter.update(now, people)
            sink.write(now, people)
    got = {}
    for file in tmp_path.iterdir():
        with file.open(newline="") as opened:
            got[file.name] = [(r["time"], r["in"]) for r in csv.DictReader(opened)]
    assert got == {
        "yard.counts-20261127T000000Z.csv": [("0.0", "0"), ("0.4", "1"), ("0.4", "1")],
        "yard.counts-20261127T010000Z.csv": [("0.5", "1"), ("0.6", "2"), ("1.9", "2")],
    }


def test_drawing_is_another_image():
    counter = Counter([DOOR], [QUEUE], NAMES)
    run(counter, [[(1, 0, 100, 100)]])
    image = np.zeros((200, 200, 3), np.uint8)
    drawing = counter.draw(image)
    assert not image.any()
    assert drawing.shape == image.shape
    assert drawing[50, 20].min() > 200  # the line
    assert drawing[180, 50].min() > 200  # the zone's edge
    assert np.array_equal(drawing, counter.draw(image))


def test_lines_and_zones_from_text():
    assert parse_line("door=100,400,800.5,400") == ("door", (100, 400), (800.5, 400))
    assert parse_zone(" q = 0,0, 9,0, 9,9 ") == ("q", ((0, 0), (9, 0), (9, 9)))


@pytest.mark.parametrize(
    ("parse", "text", "message"),
    [
        (parse_line, "100,400,800,400", "expected a name and points, as door=100"),
        (parse_line, "door=1,2,3,x", "'x' is no coordinate"),
        (parse_line, "door=1,2,3,1e9", "'1e9' is no coordinate"),
        (parse_line, "door=1,2,nan,4", "'nan' is no coordinate"),
        (parse_line, "door=1,2,3", "pairs of x and y, found 3 numbers"),
        (parse_line, "door=1,2,1,2", "two points that differ"),
        (parse_zone, "queue=1,2,3,4", "3 or more corners, found 2"),
        (parse_zone, "queue=1,1,2,2,3,3", "enclose no area"),
        (parse_zone, "queue=-9,0,-1,0,-1,9", "outside of the image"),
    ],
)
def test_wrong_lines_and_zones(parse, text, message):
    with pytest.raises(ValueError, match=message) as error:
        parse(text)
    assert "\n" not in str(error.value)


def test_names_are_unique():
    with pytest.raises(ValueError, match="queue: two lines or zones"):
        Counter([DOOR._replace(name="queue")], [QUEUE], NAMES)
