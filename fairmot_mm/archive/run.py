"""Track an archive: hand out jobs, write results, keep the ledger."""

import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from mmengine.config import Config
from mmengine.logging import MMLogger

from fairmot_mm.formats.writing import write_file

from .cluster import Cluster, import_ray, open_cluster
from .ledger import DONE, FAILED, Ledger, PieceReport
from .model import read_model
from .pieces import Piece
from .probing import Probe
from .results import ResultWriter, file_stem
from .rows import TrackRows, load, save
from .schedule import Job, Schedule
from .seams import join_pieces
from .videos import find_videos
from .worker import Task, Work

# Workers that may die on a video before it is set aside; and, without any success,
# while they load the network.
MOST_DEATHS = 3
_PIECES, _LEDGER = "pieces", "ledger.sqlite"
_PAUSE = 0.2  # seconds between two looks at workers of which none is ready
_COUNTING = 2.0  # seconds between two looks at the cluster's size
_GPU_BATCH = 8


@dataclass
class Progress:
    """How far an archive is.

    Attributes:
        videos: Number of videos in the ledger.
        done: Of these, tracked.
        failed: Of these, set aside.
        frames: Frames tracked in this run.
        total_frames: The same with those that wait, as far as is known.
        workers: Workers that have loaded the network.
        deaths: Workers that died in this run.
    """

    videos: int = 0
    done: int = 0
    failed: int = 0
    frames: int = 0
    total_frames: int = 0
    workers: int = 0
    deaths: int = 0


@dataclass
class ArchiveSummary:
    """How a run went.

    Attributes:
        progress: At its end.
        failures: Videos that were set aside, and why.
        totals: Sums over all that is done, see :meth:`Ledger.totals`.
        seconds: Length of this run.
        interrupted: Whether it was stopped.
    """

    progress: Progress
    failures: list[tuple[str, str]]
    totals: dict[str, float]
    seconds: float
    interrupted: bool


@dataclass
class _Hand:
    """A worker: its process and what it does."""

    actor: Any
    call: Any  # what Ray promises of its present task
    job: Job | None = None  # None while it loads the network
    idle: bool = False
    asked: Any = None  # what Ray promises of its count of frames
    frames: int = 0  # of the present task, by the last count


@dataclass
class _Office:
    """Keeps workers busy and the books."""

    ledger: Ledger
    schedule: Schedule
    cluster: Cluster
    folder: Path
    work: Work
    with_text: bool
    kept_frames: int

    def __post_init__(self) -> None:
        self.progress = Progress()
        self._ray = import_ray()
        self._hands: list[_Hand] = []
        self._work = self._ray.put(self.work)
        self._finished_frames = self._failed_starts = 0
        self._any_loaded = False
        self._capacity, self._counted = 0, -_COUNTING
        self._count_videos()

    def run(
        self, stop: threading.Event, on_progress: Callable[[Progress], object]
    ) -> None:
        """Work until nothing waits any more, or it is stopped.

        Raises:
            RuntimeError: Workers die while they load the network.
            ValueError: The network cannot be loaded.
        """
        self._plan()
        while not stop.is_set():
            self._hire()
            self._assign()
            if not len(self.schedule) and all(hand.idle for hand in self._hands):
                break
            calls = [hand.call for hand in self._hands if not hand.idle]
            self._ray.wait(calls, timeout=_PAUSE)
            ready, _ = self._ray.wait(calls, num_returns=len(calls), timeout=0)
            for hand in [x for x in self._hands if not x.idle and x.call in ready]:
                self._take_in(hand)
            self._count_frames()
            on_progress(self.progress)

    def close(self) -> None:
        """End all workers."""
        for hand in self._hands:
            self._ray.kill(hand.actor)
        self._hands = []

    def _plan(self) -> None:
        """Take up what the ledger says."""
        for name in self.ledger.complete():
            self._finish_in_pieces(name)
        self.schedule.add_videos(self.ledger.unprobed())
        self._add(self.ledger.waiting_pieces())

    def _add(self, pieces: list[Piece]) -> None:
        self.schedule.add_pieces(pieces)
        self.progress.total_frames += sum(map(self._announced, pieces))

    def _announced(self, piece: Piece) -> int:
        return -(-piece.num_frames // self.work.every)

    def _hire(self) -> None:
        """As many workers as there is room and work for."""
        if time.monotonic() - self._counted > _COUNTING:
            self._counted = time.monotonic()
            self._capacity = self.cluster.capacity()
        idle = sum(hand.idle or hand.job is None for hand in self._hands)
        for _ in range(
            min(self._capacity - len(self._hands), len(self.schedule) - idle)
        ):
            actor = self.cluster.hire()
            self._hands.append(_Hand(actor, actor.load.remote(self._work)))

    def _assign(self) -> None:
        for hand in self._hands:
            if not hand.idle:
                continue
            job = self.schedule.take(max(1, self._capacity))
            if job is None:
                return
            if job.videos:
                hand.call = hand.actor.probe.remote(job.videos)
            else:
                hand.call = hand.actor.track.remote(
                    [
                        Task(x, self.ledger.video(x.video), x.section is not None)
                        for x in job.pieces
                    ]
                )
            hand.job, hand.idle = job, False
            hand.frames, hand.asked = 0, None

    def _take_in(self, hand: _Hand) -> None:
        """What a worker has to say: a result, or that it is dead."""
        errors = self._ray.exceptions
        try:
            result = self._ray.get(hand.call)
        except (errors.ActorDiedError, errors.ActorUnavailableError) as error:
            self._bury(hand, error)
            return
        except errors.RayTaskError as error:  # a defect; its job is not lost
            result = self._blame(hand, error)
        except errors.RayError:  # its machine left with the result
            self._let_go(hand)
            if hand.job is not None:
                self.schedule.again(hand.job)
            return
        job, hand.job, hand.idle = hand.job, Job(), True
        if job is None:
            self._loaded(*result)
        elif job.videos:
            for video, probe in zip(job.videos, result, strict=True):
                self._probed(video.name, probe)
        else:
            for piece, tracked in zip(job.pieces, result, strict=True):
                self._tracked(piece, tracked)

    def _blame(self, hand: _Hand, error: Exception) -> Any:  # noqa: ANN401
        text = str(error).strip().splitlines()[-1]
        if hand.job is None:
            return [], text
        return [text] * len(hand.job)

    def _let_go(self, hand: _Hand) -> None:
        self._hands.remove(hand)
        self._ray.kill(hand.actor)
        self.progress.workers -= hand.job is not None

    def _bury(self, hand: _Hand, error: Exception) -> None:
        """A worker died: count it, and give its job to others."""
        job = hand.job
        self._let_go(hand)
        self.progress.deaths += 1
        if job is None:
            self._failed_starts += 1
            if self._failed_starts >= MOST_DEATHS and not self._any_loaded:
                text = " ".join(str(error).split())
                raise RuntimeError(f"workers die while they load the network: {text}")
            return
        if len(job) > 1:  # it is not known whose fault it is
            self.schedule.again(job)
            return
        name = job.videos[0].name if job.videos else job.pieces[0].video
        number = None if job.videos else job.pieces[0].number
        deaths = self.ledger.died(name, number)
        what = "being probed" if job.videos else f"piece {number} being tracked"
        if deaths >= MOST_DEATHS:
            self._fail(name, f"{deaths} workers died of {what}")
        else:
            self.schedule.again(job)
        MMLogger.get_current_instance().warning(
            f"{name}: worker died with {what} ({deaths} of {MOST_DEATHS})"
        )

    def _loaded(self, classes: list[str], error: str | None) -> None:
        if error is not None:
            raise ValueError(error)
        self.ledger.classes, self._any_loaded = classes, True
        self.progress.workers += 1

    def _probed(self, name: str, probe: Probe | str) -> None:
        if isinstance(probe, str):
            self._fail(name, probe)
            return
        self.ledger.probed(name, probe)
        self._add(list(probe.pieces))

    def _tracked(
        self, piece: Piece, result: tuple[TrackRows, PieceReport] | str
    ) -> None:
        announced = self._announced(piece)
        if isinstance(result, str):
            self.progress.total_frames -= announced
            self._fail(piece.video, result)
            return
        rows, report = result
        self._finished_frames += report.frames
        self.progress.total_frames += report.frames - announced
        if piece.section is None:
            self._finish(piece.video, iter([rows]), [report])
            self._count_videos()
            return
        write_file(self._piece_file(piece), save(rows), durable=True)
        self.ledger.piece_done(piece, report)
        if self.ledger.is_complete(piece.video):
            self._finish_in_pieces(piece.video)
            self._count_videos()

    def _piece_file(self, piece: Piece) -> Path:
        stem = file_stem(piece.video)
        return self.folder / _PIECES / stem / f"{piece.number:05d}.npz"

    def _finish_in_pieces(self, name: str) -> None:
        """Join the pieces of a video, unless the file of one is gone."""
        pieces = self.ledger.pieces(name)
        gone = [piece for piece, _ in pieces if not self._piece_file(piece).is_file()]
        for piece in gone:
            self.ledger.piece_lost(piece)
        if gone:
            self._add(gone)
            return
        max_gap = int(self.ledger.frame_rate(name) / 30 * self.kept_frames)
        parts = (load(str(self._piece_file(piece))) for piece, _ in pieces)
        joined = join_pieces(parts, [report.end for _, report in pieces], max_gap)
        self._finish(name, joined, [report for _, report in pieces])

    def _finish(
        self, name: str, parts: Iterator[TrackRows], reports: list[PieceReport]
    ) -> None:
        """Write the results of a video, then the ledger."""
        video = self.ledger.video(name)
        writer = ResultWriter(
            self.folder,
            video,
            video.start,
            self.ledger.classes,
            with_embeddings=self.work.with_embeddings,
            with_text=self.with_text,
        )
        try:
            for rows in parts:
                writer.write(rows)
            files = writer.finish()
        except BaseException:
            writer.discard()
            raise
        counts = writer.num_tracks, writer.num_boxes
        for file in self.ledger.done(name, reports, *counts, files):
            (self.folder / file).unlink(missing_ok=True)
        shutil.rmtree(self.folder / _PIECES / file_stem(name), ignore_errors=True)

    def _fail(self, name: str, reason: str) -> None:
        self.schedule.drop(name)
        self.ledger.failed(name, reason)
        self._count_videos()

    def _count_videos(self) -> None:
        counts = self.ledger.counts()
        self.progress.videos = sum(counts.values())
        self.progress.done, self.progress.failed = counts[DONE], counts[FAILED]

    def _count_frames(self) -> None:
        """Ask those that work how far they are; the answers come later."""
        for hand in self._hands:
            if hand.idle or not hand.job:
                continue
            if hand.asked is None:
                hand.asked = hand.actor.frames.remote()
            elif self._ray.wait([hand.asked], timeout=0)[0]:
                try:
                    hand.frames = self._ray.get(hand.asked)
                except self._ray.exceptions.RayError:
                    continue  # its death is noticed by its job
                hand.asked = None
        working = sum(hand.frames for hand in self._hands if not hand.idle)
        self.progress.frames = self._finished_frames + working


def track_archive(
    source: str,
    out: str | Path,
    config: str | Path | Config | None = None,
    checkpoint: str | Path | None = None,
    *,
    cfg_options: dict | None = None,
    ray_address: str | None = None,
    workers: int | None = None,
    device: str | None = None,
    half: bool = False,
    trust_checkpoint: bool = False,
    piece: float = 10.0,
    overlap: float = 5.0,
    every: int = 1,
    batch: int | None = None,
    with_embeddings: bool = False,
    with_text: bool = False,
    retry: bool = False,
    stop: threading.Event | None = None,
    on_progress: Callable[[Progress], object] = lambda progress: None,
) -> ArchiveSummary:
    """Track all videos of an archive, on the processes of this or of many machines.

    The folder ``out`` gets ``tracks/``, a Parquet data set, and ``ledger.sqlite``. A
    run that was stopped or killed goes on where it was when it is started again; one
    that is complete does nothing. docs/archives.md tells more.

    Args:
        source: See :func:`find_videos`.
        out: Folder of the results.
        config: See :func:`init_model`; without it the package's own weights are used.
        checkpoint: See :func:`init_model`.
        cfg_options: Settings that override the config's.
        ray_address: Ray's cluster, see :func:`open_cluster`; None is this machine.
        workers: Number of workers; None is one for each GPU of the cluster, or for each
            core if there is none.
        device: ``cpu`` or ``cuda``.
        half: Compute in half precision.
        trust_checkpoint: See :func:`init_model`.
        piece: Minutes; videos of more than one and a half of this are cut.
        overlap: Seconds that the pieces of a video overlap.
        every: Track only every so many-th frame.
        batch: Videos whose frames go through a worker's network together; None is 8 on
            a GPU, 1 on a CPU.
        with_embeddings: Write the tracks' embeddings.
        with_text: Write a file in MOTChallenge's format for each video as well.
        retry: Try those again that failed before.
        stop: Set it to end; what is not finished is done by the next run.
        on_progress: Called several times a second.

    Raises:
        ImportError: Ray is not installed.
        OSError: The source is missing, there is no cluster, or a result cannot be
            written.
        ValueError: The network cannot be loaded, another one made what the folder
            holds, or an option is out of range.
    """
    _check_options(piece, overlap, every, batch, workers)
    import_ray()
    began, folder = time.monotonic(), Path(out)
    model = read_model(config, checkpoint, cfg_options)
    videos, passed_over = find_videos(source)
    work = Work(
        config=model.config,
        checkpoint=model.checkpoint,
        files=model.files,
        device=device,
        half=half,
        trust_checkpoint=trust_checkpoint,
        longest=60 * piece,
        overlap=overlap,
        every=every,
        with_embeddings=with_embeddings,
    )
    settings = dict(
        config=model.config_digest,
        checkpoint=model.weights_digest,
        **{"--piece": piece, "--overlap": overlap, "--every": every},
        **{"--embeddings": with_embeddings, "--txt": with_text, "--amp": half},
    )
    log = MMLogger.get_current_instance()
    with _locked(folder), closing(Ledger(folder / _LEDGER, settings)) as ledger:
        changed, gone = ledger.add(videos), ledger.check_files(folder)
        again = ledger.retry_failed() if retry else 0
        for count, what in (
            (passed_over, "files of the source are no videos by their names"),
            (changed, "videos have changed since and are tracked again"),
            (gone, "videos whose results are gone are tracked again"),
            (again, "videos that failed are tried again"),
        ):
            if count:
                log.info(f"{count} {what}")
        _sweep(folder, ledger)
        stop = stop or threading.Event()
        if ledger.is_waiting():
            progress = _work(
                (ray_address, workers, device),
                (ledger, folder, work, with_text, model.kept_frames, batch),
                stop,
                on_progress,
            )
        else:
            counts = ledger.counts()
            progress = Progress(sum(counts.values()), counts[DONE], counts[FAILED])
        return ArchiveSummary(
            progress,
            ledger.failures(),
            ledger.totals(),
            time.monotonic() - began,
            stop.is_set(),
        )


def _work(
    place: tuple[str | None, int | None, str | None],
    books: tuple[Ledger, Path, Work, bool, int, int | None],
    stop: threading.Event,
    on_progress: Callable[[Progress], object],
) -> Progress:
    ledger, folder, work, with_text, kept_frames, batch = books
    with open_cluster(*place) as cluster:
        batch = batch or (_GPU_BATCH if cluster.on_gpus else 1)
        office = _Office(
            ledger, Schedule(batch), cluster, folder, work, with_text, kept_frames
        )
        with closing(office):
            office.run(stop, on_progress)
        return office.progress


def _check_options(
    piece: float, overlap: float, every: int, batch: int | None, workers: int | None
) -> None:
    if not piece > 0:
        raise ValueError(f"--piece {piece:g}: expected minutes above 0")
    if not 0 < overlap <= 60 * piece / 2:
        raise ValueError(
            f"--overlap {overlap:g}: expected seconds above 0, at most half a piece "
            f"({30 * piece:g})"
        )
    for name, value in (("every", every), ("batch", batch), ("workers", workers)):
        if value is not None and value < 1:
            raise ValueError(f"--{name} {value}: expected 1 or more")


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Keep a second run out of the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / ".lock")
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        raise ValueError(
            f"{folder}: another run is writing to it; wait for it, or give another "
            "--out"
        ) from error
    with lock:
        lock.release()  # acquired twice by now
        yield


def _sweep(folder: Path, ledger: Ledger) -> None:
    """Remove what a killed run left half-written, or had no time to remove."""
    for partial in folder.glob("*/**/.*.partial"):
        partial.unlink(missing_ok=True)
    wanted = {file_stem(name) for name in ledger.in_pieces()}
    pieces = folder / _PIECES
    for path in pieces.iterdir() if pieces.is_dir() else ():
        if path.name not in wanted:
            shutil.rmtree(path, ignore_errors=True)
