"""What is done, what waits, and who does what next."""

import sqlite3
from contextlib import closing
from datetime import UTC, datetime

import numpy as np
import pytest

from fairmot_mm.archive.ledger import Ledger, PieceReport
from fairmot_mm.archive.pieces import Piece, cut
from fairmot_mm.archive.probing import Probe
from fairmot_mm.archive.schedule import Job, Schedule
from fairmot_mm.archive.videos import Video

SETTINGS = {"config": "a1", "--piece": 10.0}
REPORT = PieceReport(10, 1.0, 0, 0, 2.0, "here")


def video(name, size=5):
    return Video(name, f"/recordings/{name}", "door", None, size)


def probe(name, parts=1):
    pieces = cut(name, np.arange(100 * parts) / 10, 10, 1)
    start = datetime(2026, 11, 27, tzinfo=UTC)
    return Probe(10.0, 192, 128, 100 * parts, start, tuple(pieces))


@pytest.fixture
def ledger(tmp_path):
    with closing(Ledger(tmp_path / "ledger.sqlite", SETTINGS)) as ledger:
        ledger.add([video("a.mp4"), video("b.mp4")])
        yield ledger


def test_a_video_goes_its_way(ledger):
    assert [x.name for x in ledger.unprobed()] == ["a.mp4", "b.mp4"]
    ledger.probed("a.mp4", probe("a.mp4", 2))
    assert [x.name for x in ledger.unprobed()] == ["b.mp4"]
    pieces = ledger.waiting_pieces()
    assert pieces == list(probe("a.mp4", 2).pieces)
    assert ledger.video("a.mp4").start == datetime(2026, 11, 27, tzinfo=UTC)
    ledger.piece_done(pieces[0], REPORT)
    assert not ledger.is_complete("a.mp4")
    assert ledger.waiting_pieces() == pieces[1:]
    assert ledger.in_pieces() == {"a.mp4"}
    ledger.piece_done(pieces[1], REPORT)
    assert ledger.complete() == ["a.mp4"]
    assert [report for _, report in ledger.pieces("a.mp4")] == [REPORT, REPORT]
    ledger.piece_lost(pieces[0])
    assert ledger.waiting_pieces() == pieces[:1]
    assert ledger.done("a.mp4", [REPORT], 3, 30, ["tracks/a"]) == []
    ledger.failed("b.mp4", "no video")
    assert ledger.counts() == dict(done=1, failed=1, waiting=0)
    assert ledger.failures() == [("b.mp4", "no video")]
    assert not ledger.is_waiting()
    assert ledger.totals()["tracks"] == 3
    assert ledger.retry_failed() == 1
    assert [x.name for x in ledger.unprobed()] == ["b.mp4"]


def test_changed_and_missing_videos_wait_again(ledger, tmp_path):
    ledger.probed("a.mp4", probe("a.mp4"))
    ledger.done("a.mp4", [REPORT], 3, 30, ["old", "same"])
    assert ledger.add([video("a.mp4"), video("b.mp4", None)]) == 0
    assert ledger.counts()["done"] == 1
    (tmp_path / "old").touch()
    (tmp_path / "same").touch()
    assert ledger.check_files(tmp_path) == 0
    (tmp_path / "old").unlink()
    assert ledger.check_files(tmp_path) == 1
    assert ledger.counts()["done"] == 0
    assert ledger.done("a.mp4", [REPORT], 3, 30, ["same"]) == ["old"]
    assert ledger.add([video("a.mp4", 6)]) == 1
    assert [x.name for x in ledger.unprobed()] == ["a.mp4", "b.mp4"]


def test_deaths_are_counted_by_piece(ledger):
    ledger.probed("a.mp4", probe("a.mp4", 2))
    assert [ledger.died("a.mp4", x) for x in (None, 0, 0, 1, 0)] == [1, 1, 2, 1, 3]


def test_survives_closing(ledger, tmp_path):
    ledger.classes = ["person"]
    ledger.failed("a.mp4", "broken")
    with closing(Ledger(tmp_path / "ledger.sqlite", SETTINGS)) as again:
        assert again.counts()["failed"] == 1
        assert again.classes == ["person"]


def test_other_settings_and_files_are_refused(ledger, tmp_path):
    with pytest.raises(ValueError, match=r"results of another config \(a1, now b2\)"):
        Ledger(tmp_path / "ledger.sqlite", {"config": "b2"})
    (tmp_path / "text").write_text("no data base, and long enough to be read as one")
    with pytest.raises(ValueError, match="no ledger of an archive"):
        Ledger(tmp_path / "text", SETTINGS)
    with closing(sqlite3.connect(tmp_path / "ledger.sqlite")) as plain:
        assert plain.execute("SELECT count(*) FROM videos").fetchone() == (2,)


def piece(name, length):
    return Piece(name, num_frames=length)


def test_the_longest_come_first():
    schedule = Schedule()
    schedule.add_pieces([piece("a", 10), piece("b", 30), piece("c", 20)])
    schedule.add_videos([video("d")])
    assert len(schedule) == 4
    assert schedule.take() == Job(videos=(video("d"),))
    taken = [schedule.take().pieces[0].video for _ in range(3)]
    assert taken == ["b", "c", "a"]
    assert schedule.take() is None
    assert len(schedule) == 0


def test_batches_are_shared_out():
    schedule = Schedule(batch=8)
    schedule.add_pieces([piece(str(i), 10) for i in range(12)])
    assert [len(schedule.take(workers=2)) for _ in range(4)] == [6, 3, 2, 1]
    schedule.add_videos([video(str(i)) for i in range(40)])
    assert [len(schedule.take(workers=1)) for _ in range(3)] == [16, 16, 8]


def test_parts_of_a_failed_job_are_tried_alone():
    schedule = Schedule(batch=3)
    schedule.add_pieces([piece(x, 10) for x in "abcd"])
    job = schedule.take()
    schedule.again(job)
    assert [schedule.take().pieces[0].video for _ in range(3)] == ["a", "b", "c"]
    schedule.again(Job(pieces=(piece("a", 10),)))
    schedule.drop("a")
    schedule.drop("d")
    assert schedule.take() is None
