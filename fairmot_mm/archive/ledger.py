"""What was done, what failed and why, and what waits: a SQLite file."""

import json
import sqlite3
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from .pieces import Piece
from .probing import Probe
from .videos import Video

WAITING, DONE, FAILED = "waiting", "done", "failed"
_TABLES = """
CREATE TABLE IF NOT EXISTS settings (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS videos (
    name TEXT PRIMARY KEY,
    address TEXT NOT NULL,
    camera TEXT NOT NULL,
    size INTEGER,              -- bytes
    listed_start TEXT,         -- by the list or the name
    start TEXT,                -- by these or the file; NULL: times count from 1970
    state TEXT NOT NULL,       -- waiting, done or failed
    reason TEXT,               -- why it failed
    deaths INTEGER NOT NULL DEFAULT 0,  -- workers that died while probing it
    num_frames INTEGER,        -- announced; 0 if it does not say
    frame_rate REAL,
    width INTEGER,
    height INTEGER,
    num_pieces INTEGER,        -- NULL: not yet probed
    frames INTEGER,            -- tracked
    damaged INTEGER,           -- packets that could not be decoded
    ignored INTEGER,           -- detections that could not be tracked
    tracks INTEGER,
    boxes INTEGER,
    seconds REAL,              -- that workers took
    hosts TEXT,                -- which machines they were on
    files TEXT,                -- the results, JSON
    finished TEXT
);
CREATE TABLE IF NOT EXISTS pieces (
    video TEXT NOT NULL,
    number INTEGER NOT NULL,
    first INTEGER NOT NULL,
    num_frames INTEGER NOT NULL,
    begin REAL NOT NULL,
    section_begin REAL,
    section_end REAL,
    state TEXT NOT NULL,
    deaths INTEGER NOT NULL DEFAULT 0,  -- workers that died while tracking it
    frames INTEGER,
    end REAL,                  -- seconds from the video's beginning
    damaged INTEGER,
    ignored INTEGER,
    seconds REAL,
    host TEXT,
    PRIMARY KEY (video, number)
);
"""


@dataclass(frozen=True)
class PieceReport:
    """How the tracking of a piece went.

    Attributes:
        frames: Number tracked.
        end: Seconds from the video's first frame to after the piece's last one.
        damaged: Packets that could not be decoded.
        ignored: Detections that could not be tracked.
        seconds: It took, if several went together its share.
        host: Machine of the worker.
    """

    frames: int
    end: float
    damaged: int
    ignored: int
    seconds: float
    host: str


class Ledger:
    """The ledger of an archive.

    Args:
        path: The file; created if missing.
        settings: What the results depend on. Those of the file must be the same.

    Raises:
        ValueError: The file is of another network or other options, or no ledger.
    """

    def __init__(self, path: Path, settings: Mapping[str, Any]) -> None:
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        self._db = sqlite3.connect(path)
        self._db.row_factory = sqlite3.Row
        try:
            self._db.executescript(_TABLES)
        except sqlite3.DatabaseError as error:
            raise ValueError(
                f"{path}: no ledger of an archive ({error}): give another --out"
            ) from error
        with self._db:
            self._check(settings)

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def _check(self, settings: Mapping[str, Any]) -> None:
        rows = self._db.execute("SELECT name, value FROM settings")
        known = {row["name"]: json.loads(row["value"]) for row in rows}
        for name, value in settings.items():
            if name in known and known[name] != value:
                raise ValueError(
                    f"{self.path.parent}: has results of another {name} "
                    f"({known[name]}, now {value}): give another --out, or the "
                    f"{name} it was begun with"
                )
        self._db.executemany(
            "INSERT OR IGNORE INTO settings VALUES (?, ?)",
            [(name, json.dumps(value)) for name, value in settings.items()],
        )

    @property
    def classes(self) -> list[str]:
        """Names of the labels, once a worker has said them."""
        row = self._db.execute("SELECT value FROM settings WHERE name = 'classes'")
        return json.loads(row.fetchone()["value"])

    @classes.setter
    def classes(self, names: list[str]) -> None:
        with self._db:
            self._db.execute(
                "INSERT OR REPLACE INTO settings VALUES ('classes', ?)",
                (json.dumps(names),),
            )

    def add(self, videos: Iterable[Video]) -> int:
        """Add videos; those whose size changed since are waiting again.

        Returns:
            How many have changed.
        """
        changed = 0
        with self._db:
            for video in videos:
                row = self._row(video.name)
                if row is not None and video.size not in (None, row["size"]):
                    changed += 1
                    self._forget(video.name)
                start = None if video.start is None else video.start.isoformat()
                given = (video.name, video.address, video.camera, video.size, start)
                self._db.execute(
                    "INSERT INTO videos (name, address, camera, size, listed_start, "
                    "state) VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET "
                    "address = excluded.address, size = excluded.size",
                    (*given, WAITING),
                )
        return changed

    def check_files(self, folder: Path) -> int:
        """Let those wait whose results are gone; how many that are."""
        gone = 0
        with self._db:
            for row in self._select("state = ?", DONE):
                files = json.loads(row["files"])
                if not all((folder / file).is_file() for file in files):
                    gone += 1
                    self._forget(row["name"])
        return gone

    def retry_failed(self) -> int:
        """Let those wait that failed; how many that are."""
        with self._db:
            failed = [row["name"] for row in self._select("state = ?", FAILED)]
            for name in failed:
                self._forget(name)
        return len(failed)

    def unprobed(self) -> list[Video]:
        """Videos that wait to be probed."""
        rows = self._select("state = ? AND num_pieces IS NULL", WAITING)
        return [_video(row) for row in rows]

    def waiting_pieces(self) -> list[Piece]:
        """Pieces that wait to be tracked."""
        return [_piece(row) for row in self._pieces("AND pieces.state = ?", WAITING)]

    def complete(self) -> list[str]:
        """Videos whose pieces are all tracked, and not yet joined."""
        rows = self._select(
            "state = ? AND num_pieces IS NOT NULL AND NOT EXISTS (SELECT 1 FROM pieces "
            "WHERE video = videos.name AND pieces.state != ?)",
            *(WAITING, DONE),
        )
        return [row["name"] for row in rows]

    def is_waiting(self) -> bool:
        """Whether anything is left to do."""
        return bool(self._select("state = ?", WAITING))

    def in_pieces(self) -> set[str]:
        """Videos of which pieces are tracked and not yet joined."""
        return {row["video"] for row in self._pieces("AND pieces.state = ?", DONE)}

    def is_complete(self, name: str) -> bool:
        """Whether all pieces of a video are tracked."""
        waiting = self._db.execute(
            "SELECT 1 FROM pieces WHERE video = ? AND state != ?", (name, DONE)
        )
        return waiting.fetchone() is None

    def video(self, name: str) -> Video:
        """A video by its name."""
        row = self._row(name)
        assert row is not None, name
        return _video(row)

    def frame_rate(self, name: str) -> float:
        """Frames per second of a video that was probed."""
        row = self._row(name)
        assert row is not None, name
        return row["frame_rate"]

    def pieces(self, name: str) -> list[tuple[Piece, PieceReport]]:
        """The tracked pieces of a video, in order."""
        rows = self._db.execute(
            "SELECT * FROM pieces WHERE video = ? AND state = ? ORDER BY number",
            (name, DONE),
        )
        names = PieceReport.__dataclass_fields__
        return [
            (_piece(row), PieceReport(**{key: row[key] for key in names}))
            for row in rows
        ]

    def probed(self, name: str, probe: Probe) -> None:
        """A video was probed and cut."""
        start = None if probe.start is None else probe.start.astimezone(UTC).isoformat()
        size = (probe.num_frames, probe.frame_rate, probe.width, probe.height)
        with self._db:
            self._db.execute(
                "UPDATE videos SET num_frames = ?, frame_rate = ?, width = ?, "
                "height = ?, num_pieces = ?, start = coalesce(listed_start, ?) "
                "WHERE name = ?",
                (*size, len(probe.pieces), start, name),
            )
            self._db.executemany(
                "INSERT OR REPLACE INTO pieces (video, number, first, num_frames, "
                "begin, section_begin, section_end, state) VALUES (?, ?, ?, ?, ?, ?, "
                "?, ?)",
                [
                    (name, x.number, x.first, x.num_frames, x.begin)
                    + (x.section or (None, None))
                    + (WAITING,)
                    for x in probe.pieces
                ],
            )

    def piece_done(self, piece: Piece, report: PieceReport) -> None:
        """A piece was tracked, and its rows are in a file."""
        values = dict(vars(report), state=DONE)
        columns = ", ".join(f"{name} = ?" for name in values)
        with self._db:
            self._db.execute(
                f"UPDATE pieces SET {columns} WHERE video = ? AND number = ?",
                (*values.values(), piece.video, piece.number),
            )

    def piece_lost(self, piece: Piece) -> None:
        """The file of a piece is gone."""
        with self._db:
            self._db.execute(
                "UPDATE pieces SET state = ? WHERE video = ? AND number = ?",
                (WAITING, piece.video, piece.number),
            )

    def died(self, name: str, number: int | None) -> int:
        """A worker died on a piece, or if None while probing; how often by now."""
        table, key, values = "videos", "name = ?", (name,)
        if number is not None:
            table, key = "pieces", "video = ? AND number = ?"
            values += (number,)  # type: ignore[assignment]
        with self._db:
            row = self._db.execute(
                f"UPDATE {table} SET deaths = deaths + 1 WHERE {key} RETURNING deaths",
                values,
            )
            return row.fetchone()["deaths"]

    def failed(self, name: str, reason: str) -> None:
        """A video is set aside."""
        with self._db:
            self._db.execute(
                "UPDATE videos SET state = ?, reason = ?, finished = ? WHERE name = ?",
                (FAILED, reason, _now(), name),
            )

    def done(
        self,
        name: str,
        reports: Iterable[PieceReport],
        num_tracks: int,
        num_boxes: int,
        files: Iterable[str],
    ) -> list[str]:
        """The results of a video have their names.

        Args:
            name: The video.
            reports: Of its pieces.
            num_tracks: Number of its tracks.
            num_boxes: Number of their boxes.
            files: The results, relative to their folder.

        Returns:
            Files that it had before and has no more.
        """
        reports, files = list(reports), list(files)
        row = self._row(name)
        before = json.loads(row["files"]) if row is not None and row["files"] else []
        values: dict[str, Any] = dict(
            state=DONE,
            reason=None,
            frames=sum(x.frames for x in reports),
            damaged=sum(x.damaged for x in reports),
            ignored=sum(x.ignored for x in reports),
            seconds=round(sum(x.seconds for x in reports), 3),
            hosts=", ".join(sorted({x.host for x in reports})),
            tracks=num_tracks,
            boxes=num_boxes,
            files=json.dumps(files),
            finished=_now(),
        )
        columns = ", ".join(f"{key} = ?" for key in values)
        with self._db:
            self._db.execute(
                f"UPDATE videos SET {columns} WHERE name = ?", (*values.values(), name)
            )
            self._db.execute("DELETE FROM pieces WHERE video = ?", (name,))
        return sorted(set(before) - set(files))

    def counts(self) -> dict[str, int]:
        """Number of videos in each state."""
        rows = self._db.execute("SELECT state, count(*) FROM videos GROUP BY state")
        return dict.fromkeys((WAITING, DONE, FAILED), 0) | dict(map(tuple, rows))

    def failures(self) -> list[tuple[str, str]]:
        """Videos that failed, and why."""
        return [(row["name"], row["reason"]) for row in self._select("state=?", FAILED)]

    def totals(self) -> dict[str, float]:
        """Sums over what was done.

        Returns:
            ``frames``, ``hours`` of video, ``tracks``, ``seconds`` of work,
            ``damaged``, ``ignored``, ``short`` (videos with fewer frames than they
            announce), ``undated`` (videos that do not say when they began).
        """
        row = self._db.execute(
            "SELECT total(frames) AS frames, total(num_frames / frame_rate) / 3600 AS "
            "hours, total(tracks) AS tracks, total(seconds) AS seconds, total(damaged) "
            "AS damaged, total(ignored) AS ignored, total(end_early) AS short, "
            "total(start IS NULL) AS undated FROM (SELECT *, frames < num_frames - 2 "
            "AS end_early FROM videos) WHERE state = ?",
            (DONE,),
        ).fetchone()
        return dict(row)

    def _forget(self, name: str) -> None:
        self._db.execute("DELETE FROM pieces WHERE video = ?", (name,))
        self._db.execute(
            "UPDATE videos SET state = ?, reason = NULL, deaths = 0, num_pieces = NULL "
            "WHERE name = ?",
            (WAITING, name),
        )

    def _row(self, name: str) -> sqlite3.Row | None:
        rows = self._db.execute("SELECT * FROM videos WHERE name = ?", (name,))
        return rows.fetchone()

    def _select(self, condition: str, *values: object) -> list[sqlite3.Row]:
        text = f"SELECT * FROM videos WHERE {condition} ORDER BY name"
        return self._db.execute(text, values).fetchall()

    def _pieces(self, condition: str, *values: object) -> list[sqlite3.Row]:
        text = (
            "SELECT pieces.* FROM pieces JOIN videos ON videos.name = pieces.video "
            f"WHERE videos.state = ? {condition} ORDER BY video, number"
        )
        return self._db.execute(text, (WAITING, *values)).fetchall()


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _video(row: sqlite3.Row) -> Video:
    start = row["start"] or row["listed_start"]
    moment = None if start is None else datetime.fromisoformat(start)
    return Video(row["name"], row["address"], row["camera"], moment, row["size"])


def _piece(row: sqlite3.Row) -> Piece:
    ends = row["section_begin"], row["section_end"]
    return Piece(
        row["video"],
        row["number"],
        row["first"],
        row["num_frames"],
        row["begin"],
        None if None in ends else ends,
    )
