"""A search for the tracker's best options, on detections that were written before."""

from __future__ import annotations

import dataclasses
import json
import multiprocessing
import tempfile
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from mmengine.config import Config

from fairmot_mm.evaluation.cases import Case, load_cases
from fairmot_mm.evaluation.figures import COMBINED, NAMES, Figures
from fairmot_mm.evaluation.trackeval_backend import combine, score_sequence
from fairmot_mm.formats.detection_dumps import DetectionDump, read_dumps
from fairmot_mm.formats.mot import MOTSequence
from fairmot_mm.formats.mot_results import write_results

from .offline_tracking import OfflineTracker

if TYPE_CHECKING:  # an extra, imported when it is first used
    import optuna

MINIMISED = ("IDSW", "FP", "FN", "ML", "Frag")
TRACKER, MAX_GAP = "model.tracker.", "test_evaluator.max_gap"
_CAMERA = TRACKER + "camera_motion"


@dataclasses.dataclass(frozen=True)
class Search:
    """What is searched for.

    Attributes:
        detections: Folder of the dumps.
        sequences: Ground truth of the sequences to tune on, the shortest first: a trial
            that is worse there than half of those before is given up.
        base: The config that is changed, see :class:`OfflineTracker`.
        objective: One of the figures, combined over the sequences.
        storage: SQLite file that keeps the trials.
        seed: Of the sampler.
    """

    detections: Path
    sequences: Sequence[MOTSequence]
    base: dict
    objective: str
    storage: Path
    seed: int = 317

    @property
    def names(self) -> list[str]:
        """Names of the sequences."""
        return [sequence.name for sequence in self.sequences]


def run_search(search: Search, trials: int, workers: int) -> optuna.Study:
    """Search until there are so many trials, those of earlier runs included.

    Args:
        search: What for.
        trials: Trials that are complete or were given up.
        workers: Processes.

    Returns:
        The study; its trials have ``options``, as of ``--cfg-options``, in their
        attributes.

    Raises:
        ValueError: The objective is unknown, the tracker is none of ours, or the
            storage holds another search.
    """
    if search.objective not in NAMES:
        known = ", ".join(NAMES)
        raise ValueError(f"objective {search.objective}: expected one of {known}")
    study = _open_study(search, 0)
    known_as = json.loads(
        json.dumps(
            dict(objective=search.objective, sequences=search.names, base=search.base)
        )
    )
    before = study.user_attrs.get("search", known_as)
    if before != known_as:
        differing = [key for key in known_as if before[key] != known_as[key]]
        raise ValueError(
            f"{search.storage} holds a search that differs in {', '.join(differing)}: "
            "give another --out, or the same settings to go on"
        )
    if "search" not in study.user_attrs:
        study.set_user_attr("search", known_as)
        study.enqueue_trial(_starting_point(Config(search.base)))
    missing = trials - len(_finished(study))
    if missing <= 0:
        return study
    workers = max(1, min(workers, missing))
    shares = [missing // workers + (i < missing % workers) for i in range(workers)]
    if workers == 1:
        _run_trials(search, 0, missing)
        return study
    with ProcessPoolExecutor(
        workers, mp_context=multiprocessing.get_context("spawn")
    ) as pool:
        jobs = [pool.submit(_run_trials, search, i, n) for i, n in enumerate(shares)]
        for job in jobs:
            job.result()
    return study


def tuned_config(base: dict, options: Mapping[str, object]) -> Config:
    """A config with other options.

    Args:
        base: The config.
        options: As of ``--cfg-options``.
    """
    cfg = Config(base)
    if not isinstance(options.get(_CAMERA), dict):
        cfg.merge_from_dict(dict(options))
        return cfg
    others = {key: value for key, value in options.items() if key != _CAMERA}
    cfg.merge_from_dict(others)
    cfg.model.tracker.camera_motion = options[_CAMERA]
    return cfg


def track_and_score(
    cfg: Config,
    sequences: Sequence[MOTSequence],
    dumps: Mapping[str, DetectionDump],
    folder: Path,
) -> Figures:
    """Write result files and score them, as ``eval_mot.py`` does.

    Raises:
        ValueError: The dumps do not hold what the tracker needs, or are of other
            sequences.
    """
    tracker = OfflineTracker(cfg)
    scores = {}
    for sequence in sequences:
        dump = dumps[sequence.name]
        tracker.check(dump)
        rows = tracker.track(dump)
        write_results(folder / f"{sequence.name}.txt", rows[:, :7])
        frames = {sequence.name: (dump.info.first, dump.info.last)}
        (case,) = load_cases([sequence], folder, frames)
        scores[sequence.name] = score_sequence(case)
    return combine(scores)


def format_options(options: Mapping[str, object]) -> str:
    """Options as ``--cfg-options`` takes them."""
    words = []
    for key, value in options.items():
        if isinstance(value, dict):
            words += [f"{key}.{name}={inner}" for name, inner in value.items()]
        else:
            words.append(f"{key}={value}")
    return " ".join(words)


def _open_study(search: Search, worker: int) -> optuna.Study:
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    search.storage.parent.mkdir(parents=True, exist_ok=True)
    storage = optuna.storages.RDBStorage(
        f"sqlite:///{search.storage}", engine_kwargs=dict(connect_args=dict(timeout=99))
    )
    return optuna.create_study(
        study_name="tracker",
        storage=storage,
        sampler=optuna.samplers.TPESampler(
            n_startup_trials=10, multivariate=True, seed=search.seed + worker
        ),
        pruner=optuna.pruners.MedianPruner(n_startup_trials=10),
        direction="minimize" if search.objective in MINIMISED else "maximize",
        load_if_exists=True,
    )


def _finished(study: optuna.Study) -> list:
    from optuna.trial import TrialState

    states = (TrialState.COMPLETE, TrialState.PRUNED)
    return study.get_trials(deepcopy=False, states=states)


def _run_trials(search: Search, worker: int, trials: int) -> None:
    """The share of one process."""
    import optuna
    from threadpoolctl import threadpool_limits

    study = _open_study(search, worker + len(_finished(_open_study(search, worker))))
    dumps = read_dumps(search.detections, search.names)
    truths = _read_truths(search, dumps)

    def objective(trial: optuna.Trial) -> float:
        options = _suggest(trial, [*dumps.values()])
        trial.set_user_attr("options", options)
        tracker = OfflineTracker(tuned_config(search.base, options))
        scores = {}
        for step, name in enumerate(search.names):
            tracker.check(dumps[name])
            rows = tracker.track(dumps[name])[:, :7]
            rows[:, 0] -= dumps[name].info.first - 1
            # To the digits of a result file.
            rows = rows[np.lexsort((rows[:, 1], rows[:, 0]))].round(3)
            case = dataclasses.replace(truths[name], results=rows)
            scores[name] = score_sequence(case)
            trial.report(combine(scores)[COMBINED][search.objective], step)
            if step + 1 < len(search.names) and trial.should_prune():
                raise optuna.TrialPruned
        figures = combine(scores)[COMBINED]
        trial.set_user_attr("figures", figures)
        return figures[search.objective]

    with threadpool_limits(1):  # processes share the cores among them
        study.optimize(objective, n_trials=trials)


def _read_truths(search: Search, dumps: Mapping[str, DetectionDump]) -> dict[str, Case]:
    """The ground truth of the sequences, without results."""
    with tempfile.TemporaryDirectory() as folder:
        for name in search.names:
            (Path(folder) / f"{name}.txt").touch()
        frames = {name: (d.info.first, d.info.last) for name, d in dumps.items()}
        return {
            case.name: case for case in load_cases(search.sequences, folder, frames)
        }


def _suggest(trial: optuna.Trial, dumps: Sequence[DetectionDump]) -> dict[str, object]:
    """Options of a trial, as of ``--cfg-options``."""
    lowest = max(0.05, *(dump.info.min_score for dump in dumps))
    options: dict[str, object] = {}

    def number(name: str, low: float, high: float) -> float:
        options[TRACKER + name] = round(trial.suggest_float(name, low, high), 3)
        return float(options[TRACKER + name])  # type: ignore[arg-type]

    score = number("obj_score_thr", max(lowest, 0.1), 0.7)
    # BYTE is off where it is not the lower one.
    if number("low_score_thr", lowest, 0.7) >= score:
        options[TRACKER + "low_score_thr"] = None
    number("iou_cost_limit", 0.3, 0.9)
    number("unconfirmed_cost_limit", 0.4, 0.9)
    if all(dump.embeddings.shape[1] for dump in dumps):
        number("embedding_cost_limit", 0.1, 0.8)
        number("embedding_weight", 0.9, 1.0)
    retained = trial.suggest_int("num_frames_retain", 5, 120, log=True)
    options[TRACKER + "num_frames_retain"] = retained
    noise = trial.suggest_categorical("noise_by_score", [False, True])
    options[TRACKER + "noise_by_score"] = noise
    if all(dump.camera_motions is not None for dump in dumps):
        moves = trial.suggest_categorical("camera_motion", [False, True])
        options[_CAMERA] = dumps[0].info.camera if moves else None
    options[MAX_GAP] = trial.suggest_int("max_gap", 0, 40)
    return options


def _starting_point(base: Config) -> dict[str, object]:
    """The base's own options as a trial; those it does not name are the tracker's."""
    from fairmot_mm.registry import MODELS

    tracker = MODELS.build(base.model.tracker)
    names = (
        "obj_score_thr",
        "iou_cost_limit",
        "unconfirmed_cost_limit",
        "embedding_cost_limit",
        "embedding_weight",
        "num_frames_retain",
        "low_score_thr",
    )
    missing = [name for name in names if not hasattr(tracker, name)]
    if missing:
        raise ValueError(
            f"model.tracker {base.model.tracker.type} has no {missing[0]}: only "
            "JDETracker's options are searched"
        )
    point = {name: getattr(tracker, name) for name in names}
    if point["low_score_thr"] is None:
        point["low_score_thr"] = 0.7
    return point | dict(
        noise_by_score=tracker.kalman_filter.noise_by_score,
        camera_motion=tracker.camera is not None,
        max_gap=base.get("test_evaluator", {}).get("max_gap", 0),
    )
