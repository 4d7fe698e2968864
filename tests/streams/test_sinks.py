import csv
import json
import signal
import subprocess
import sys
import time
from contextlib import closing
from datetime import UTC, datetime, timedelta

import cv2
import numpy as np
import pytest
import torch
from mmengine.structures import InstanceData

from fairmot_mm.formats.mot_results import read_results
from fairmot_mm.streams import (
    CsvSink,
    Frame,
    ParquetSink,
    ResultsSink,
    RotatingSink,
    StreamVideoSink,
    TrackRecords,
    VideoSink,
    open_sink,
    parse_duration,
)

START = datetime(2026, 11, 27, 0, 59, 58, tzinfo=UTC)
NAMES = ("person", "car")


def frame(number, seconds=None, size=(48, 64)):
    seconds = number / 10 if seconds is None else seconds
    image = np.full((*size, 3), 90, np.uint8)
    return Frame(image, number, seconds, time.monotonic())


def tracks(count, **more):
    return InstanceData(
        bboxes=torch.tensor([[1.0, 2, 11, 22.5]]).repeat(count, 1),
        scores=torch.full((count,), 0.5),
        labels=torch.arange(count) % 2,
        instances_id=torch.arange(count).flip(0) + 1,
        **more,
    )


def read_video(path):
    capture = cv2.VideoCapture(str(path))
    images, times = [], []
    while (read := capture.read())[0]:
        images.append(read[1])
        times.append(round(capture.get(cv2.CAP_PROP_POS_MSEC)))
    return images, times


def read_csv(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def read_lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_every_frame_is_in_the_file_at_once(tmp_path):
    path = tmp_path / "new" / "tracks.txt"
    sink = ResultsSink(path)
    for number, count in enumerate((2, 0, 1)):
        sink.write(frame(number), tracks(count))
        assert len(read_results(path)) == (2, 2, 3)[number]
    sink.close()
    assert read_results(path)[:, 0].tolist() == [1, 1, 3]


def test_a_full_disk_leaves_whole_frames(tmp_path, full_disk):
    path = tmp_path / "tracks.txt"
    sink = ResultsSink(path)
    with full_disk(300), pytest.raises(OSError, match=r"tracks\.txt"):  # 7 lines
        for number in range(10):
            sink.write(frame(number), tracks(3))
    # Once there is space again, it goes on.
    sink.write(frame(5), tracks(1))
    sink.close()
    assert read_results(path)[:, 0].tolist() == [1, 1, 1, 2, 2, 2, 6]


def test_records(tmp_path):
    embeddings = torch.tensor([[1.0, -0.5], [0.25, 0.1]])
    paths = [tmp_path / f"door{suffix}" for suffix in (".csv", ".jsonl", ".parquet")]
    for path in paths:
        wanted = path.suffix != ".csv"
        sink = open_sink(path, "door", NAMES, with_embeddings=wanted, start=START)
        with closing(sink):
            sink.write(frame(0), tracks(0))
            sink.write(frame(1), tracks(2, embeddings=embeddings))
    box = dict(x=1.0, y=2.0, w=10.0, h=20.5, score=0.5)
    place = {"stream": "door", "frame": 2, "time": 0.1}
    place["wall_clock"] = "2026-11-27T00:59:58.100Z"
    expected = [
        {**place, "track": 1, "class": "car", **box},
        {**place, "track": 2, "class": "person", **box},
    ]
    as_text = [{key: str(value) for key, value in row.items()} for row in expected]
    assert read_csv(paths[0]) == as_text
    assert read_lines(paths[1]) == [
        {**expected[0], "embedding": [0.25, 0.09998]},
        {**expected[1], "embedding": [1.0, -0.5]},
    ]
    parquet = pytest.importorskip("pyarrow.parquet")
    table = parquet.read_table(tmp_path / "door-000001.parquet")
    assert str(table.schema.field("embedding").type.value_type) == "halffloat"
    rows = table.to_pylist()
    assert [list(row.pop("embedding")) for row in rows] == [
        [0.25, np.float16(0.1)],
        [1.0, -0.5],
    ]
    for row in expected:
        row["wall_clock"] = START + timedelta(seconds=0.1)
    assert rows == expected


def test_time_of_arrival(tmp_path):
    path = tmp_path / "door.jsonl"
    with closing(open_sink(path, "door", NAMES)) as sink:
        late = frame(0)._replace(arrived=time.monotonic() - 3600)
        sink.write(late, tracks(1))
    got = datetime.fromisoformat(read_lines(path)[0]["wall_clock"])
    age = datetime.now(UTC) - got
    assert timedelta(hours=1) - timedelta(seconds=1) < age < timedelta(hours=1.1)


def test_wrong_inputs(tmp_path):
    with pytest.raises(ValueError, match=r"door\.avi: no such file .*\.txt, \.csv"):
        open_sink(tmp_path / "door.avi", "door", NAMES)
    with pytest.raises(ValueError, match=r"door\.txt: embeddings can be written to"):
        open_sink(tmp_path / "door.txt", "door", NAMES, with_embeddings=True)
    with pytest.raises(ValueError, match=r"door\.csv: a CSV file has no embeddings"):
        CsvSink(tmp_path / "door.csv", TrackRecords("door", NAMES, None, True))
    with pytest.raises(ValueError, match="has no time zone: give one"):
        TrackRecords("door", NAMES, datetime(2026, 11, 27))
    for suffix in (".jsonl", ".parquet"):
        path = tmp_path / f"door{suffix}"
        sink = open_sink(path, "door", NAMES, with_embeddings=True)
        with closing(sink), pytest.raises(ValueError, match="door: its tracks have no"):
            sink.write(frame(0), tracks(1))


def test_parquet_files_of_seconds(tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet")
    path = tmp_path / "new" / "door.parquet"
    records = TrackRecords("door", NAMES)
    for number in (0, 2):  # the second sink goes on after the first one's files
        with closing(ParquetSink(path, records, seconds=0)) as sink:
            sink.write(frame(number), tracks(1))
            sink.write(frame(number + 1), tracks(2))
    with closing(ParquetSink(path, records)) as sink:
        sink.write(frame(4), tracks(0))
    names = [f"door-{i:06d}.parquet" for i in range(1, 5)]
    assert sorted(file.name for file in path.parent.iterdir()) == names
    rows = parquet.read_table(path.parent)["frame"].to_pylist()
    assert rows == [1, 2, 2, 3, 4, 4]


def test_parquet_on_a_full_disk(tmp_path, full_disk):
    pytest.importorskip("pyarrow")
    sink = ParquetSink(tmp_path / "door.parquet", TrackRecords("door", NAMES), 0)
    with full_disk(300), pytest.raises(OSError, match=r"door-000001\.parquet"):
        sink.write(frame(0), tracks(1))
    assert not any(tmp_path.iterdir())
    sink.close()


def test_video_of_constant_rate(tmp_path):
    with closing(VideoSink(tmp_path / "door.mp4", 12.5)) as sink:
        for number in range(3):
            drawing = sink.write(frame(number), tracks(1))
            assert drawing.shape == (48, 64, 3)
    assert read_video(tmp_path / "door.mp4")[1] == [0, 80, 160]


def test_video_of_a_stream_keeps_its_times(tmp_path):
    path = tmp_path / "new" / "door.mp4"
    times = (5.0, 5.1, 5.1, 7.5, 7.6)  # one stands still, and there is a gap

    def overlay(image):
        assert image[2, 1:11].max() > 90  # the track is there
        return np.full_like(image, 200)

    with closing(StreamVideoSink(path, NAMES, overlay)) as sink:
        for number, seconds in enumerate(times):
            drawing = sink.write(frame(number, seconds, (47, 63)), tracks(1))
    assert drawing.min() == 200
    images, times = read_video(path)
    assert times == [0, 100, 101, 2500, 2600]
    assert images[0].shape == (48, 64, 3)
    np.testing.assert_allclose([image.mean() for image in images], 200, atol=3)


def test_video_of_another_size_is_another_file(tmp_path):
    (tmp_path / "door-2.mp4").write_text("of before")
    with closing(StreamVideoSink(tmp_path / "door.mp4")) as sink:
        for number, size in enumerate([(48, 64)] * 3 + [(96, 128)] * 2):
            sink.write(frame(number, size=size), tracks(1))
    images, _ = read_video(tmp_path / "door.mp4")
    assert [image.shape for image in images] == [(48, 64, 3)] * 3
    images, times = read_video(tmp_path / "door-3.mp4")
    assert [image.shape for image in images] == [(96, 128, 3)] * 2
    assert times == [0, 100]
    assert (tmp_path / "door-2.mp4").read_text() == "of before"


def test_unwritable_video_of_a_stream(tmp_path, full_disk):
    (tmp_path / "folder.mp4").mkdir()
    sink = StreamVideoSink(tmp_path / "folder.mp4")
    with pytest.raises(OSError, match=r"folder\.mp4"):
        sink.write(frame(0), tracks(1))
    sink.close()
    path = tmp_path / "full.mp4"
    sink, noise = StreamVideoSink(path), np.random.default_rng(0)
    with full_disk(300_000), pytest.raises(OSError, match=r"full\.mp4"):
        for number in range(500):
            image = noise.integers(0, 255, (48, 64, 3), np.uint8)
            sink.write(frame(number)._replace(image=image), tracks(1))
    # The next frame must not start the file anew.
    with pytest.raises(OSError, match=r"full\.mp4"):
        sink.write(frame(number), tracks(1))
    sink.close()
    assert 30 <= len(read_video(path)[0]) <= number


def test_rotation_at_full_hours(tmp_path):
    # 2 s before and after 1 o'clock, then more than an hour without frames.
    path = tmp_path / "door.csv"
    with closing(open_sink(path, "door", NAMES, rotate=3600, start=START)) as sink:
        for number, seconds in enumerate((0, 1.9, 2, 3, 7300)):
            sink.write(frame(number, seconds), tracks(1))
    got = {
        file.name: [row["frame"] for row in read_csv(file)]
        for file in tmp_path.iterdir()
    }
    assert got == {
        "door-20261127T000000Z.csv": ["1", "2"],
        "door-20261127T010000Z.csv": ["3", "4"],
        "door-20261127T030000Z.csv": ["5"],
    }


def test_a_restart_replaces_no_file_of_a_rotation(tmp_path):
    for _ in range(2):
        sink = RotatingSink(ResultsSink, tmp_path / "door.txt", 3600, START)
        with closing(sink):
            # A clock that is set back a little starts no file.
            for number, seconds in enumerate((0, 3, 1)):
                sink.write(frame(number, seconds), tracks(1))
    got = {f.name: read_results(f)[:, 0].tolist() for f in tmp_path.iterdir()}
    assert got == {
        "door-20261127T000000Z.txt": [1],
        "door-20261127T000000Z-2.txt": [1],
        "door-20261127T010000Z.txt": [2, 3],
        "door-20261127T010000Z-2.txt": [2, 3],
    }


def test_rotation_on_a_full_disk_tries_one_name(tmp_path, full_disk):
    path = tmp_path / "door.csv"
    sink = open_sink(path, "door", NAMES, rotate=60, start=START)
    with full_disk(10):
        for number in range(3):
            with pytest.raises(OSError, match=r"door-20261127T005900Z\.csv"):
                sink.write(frame(number), tracks(1))
    sink.write(frame(3), tracks(1))
    sink.close()
    (file,) = tmp_path.iterdir()
    assert [row["frame"] for row in read_csv(file)] == ["4"]


def test_durations():
    texts = ("15s", "30m", "1h", " 2d ")
    assert [parse_duration(text) for text in texts] == [15, 1800, 3600, 172800]
    for wrong in ("", "1", "h", "0s", "1.5h", "-1h", "1 hour"):
        with pytest.raises(ValueError, match=f"duration '{wrong}': expected a whole"):
            parse_duration(wrong)


WRITE_UNTIL_KILLED = """
import itertools, sys, time
from pathlib import Path
import numpy as np, torch
from mmengine.structures import InstanceData
from fairmot_mm.streams import (
    Counter, CountsSink, Frame, ParquetSink, TrackRecords, open_sink, parse_zone
)

folder = Path(sys.argv[1])
kinds = ("txt", "csv", "jsonl", "mp4")
sinks = [open_sink(folder / f"door.{kind}", "door", ["person"]) for kind in kinds]
sinks.append(ParquetSink(folder / "door.parquet", TrackRecords("door", "p"), 0.05))
counter = Counter([], [parse_zone("all=0,0,64,0,64,48")], ["person"])
sinks.append(CountsSink(folder / "counts.csv", counter))
tracks = InstanceData(
    bboxes=torch.tensor([[1.0, 2, 11, 22]]).repeat(5, 1), scores=torch.ones(5),
    labels=torch.zeros(5, dtype=torch.long), instances_id=torch.arange(5),
)
image = np.full((48, 64, 3), 90, np.uint8)
for number in itertools.count():
    frame = Frame(image, number, number / 100, time.monotonic())
    tracks.bboxes[:, 0] = 100 * (number % 2)  # in the zone in every other frame
    tracks.bboxes[:, 2] = tracks.bboxes[:, 0] + 60
    counter.update(frame, tracks)
    for sink in sinks:
        sink.write(frame, tracks)
    print(number, flush=True)
"""


def test_files_after_a_kill(tmp_path):
    pytest.importorskip("supervision")
    parquet = pytest.importorskip("pyarrow.parquet")
    command = [sys.executable, "-c", WRITE_UNTIL_KILLED, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        try:
            for line in child.stdout:
                enough = any(tmp_path.glob("door-*.parquet")) and int(line) > 200
                if enough:
                    break
        finally:
            child.kill()
    assert child.returncode == -signal.SIGKILL
    written = int(line) + 1  # frames at least
    frames = np.repeat(np.arange(1, written + 1), 5)
    of_text = {
        "txt": read_results(tmp_path / "door.txt")[:, 0],
        "csv": [int(row["frame"]) for row in read_csv(tmp_path / "door.csv")],
        "jsonl": [row["frame"] for row in read_lines(tmp_path / "door.jsonl")],
    }
    for got in of_text.values():
        assert len(got) % 5 == 0
        assert np.array_equal(got[: len(frames)], frames)
    present = [int(row["present"]) for row in read_csv(tmp_path / "counts.csv")]
    assert len(present) >= written
    assert present == ([5, 0] * len(present))[: len(present)]
    files = sorted(tmp_path.glob("door-*.parquet"))
    got = [parquet.read_table(file)["frame"].to_numpy() for file in files]
    rows = np.concatenate(got)
    assert len(rows) > 0
    assert np.array_equal(rows, np.repeat(np.arange(1, len(rows) // 5 + 1), 5))
    # All but the last two fragments: one is being collected, one on its way.
    assert len(read_video(tmp_path / "door.mp4")[0]) >= written - 60
