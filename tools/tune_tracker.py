r"""Search for the tracker's best options on detections that were written before.

    python tools/test.py CONFIG CHECKPOINT --dump detections
    python tools/tune_tracker.py detections --gt-root data/real --objective HOTA \
        --trials 100 --tune-on MOT17-09 ETH-Sunnyday --report-on TUD-Stadtmitte

No network runs: a trial takes seconds. Thresholds, BYTE, the camera's motion, NSA, the
buffer of lost tracks, and gaps that are filled are chosen on some sequences, and the
figures that count come from others. --out keeps the trials (study.db: the same command
goes on from there), a table (trials.csv), what each option matters (importance.png) and
the figures before and after (figures.json).
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from fairmot_mm.utils.command_line import Parser, command, open_config, running

if TYPE_CHECKING:  # so that --help need not wait for Optuna
    import optuna


def make_parser() -> Parser:
    """Describe the command line."""
    parser = Parser(__doc__)
    parser.add_argument("detections", type=Path, help="folder of the detections")
    parser.add_config(
        "config with the options to start from; default: what the run that wrote the "
        "detections had",
        optional=True,
    )
    parser.add_argument(
        "--gt-root", type=Path, required=True, help="folder of MOTChallenge sequences"
    )
    for name, what in (("tune", "choose the options"), ("report", "score them")):
        parser.add_argument(
            f"--{name}-on", nargs="+", metavar="NAME", default=[], help=f"{what} on"
        )
    parser.add_argument(
        "--same-sequences",
        action="store_true",
        help="tune and report on the same sequences, which flatters the figures",
    )
    parser.add_argument("--objective", default="HOTA", help="figure; default HOTA")
    parser.add_argument(
        "--trials", type=int, default=100, help="earlier ones included; default 100"
    )
    parser.add_argument(
        "--workers",
        type=int,
        default=len(os.sched_getaffinity(0)),
        help="processes; default: one per core",
    )
    parser.add_argument(
        "--out", type=Path, default=Path("tuning"), help="folder; default tuning"
    )
    return parser


def check_split(args: argparse.Namespace) -> tuple[list[str], list[str]]:
    """Sequences to tune on and to report on.

    Raises:
        ValueError: They are not given, or are not apart.
    """
    tuned, reported = args.tune_on, args.report_on
    if args.same_sequences:
        both = tuned or reported
        return both, reported or both
    if not tuned or not reported:
        raise ValueError(
            "give --tune-on and --report-on, sequences of their own for each "
            "(or --same-sequences, which flatters the figures)"
        )
    if common := [name for name in reported if name in tuned]:
        raise ValueError(
            f"{', '.join(common)}: both to tune and to report on, which flatters the "
            "figures; take other sequences, or say --same-sequences"
        )
    return tuned, reported


def write_trials(path: Path, study: optuna.Study) -> None:
    """Write a row per trial, the best first."""
    from fairmot_mm.evaluation.figures import NAMES

    trials = [trial for trial in study.trials if "options" in trial.user_attrs]
    sign = -1 if study.direction.name == "MAXIMIZE" else 1
    trials.sort(key=lambda t: (t.state.name, sign * (t.value or 0)))
    options = {key: 0 for trial in trials for key in trial.user_attrs["options"]}
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        short = [key.rpartition(".")[2] for key in options]
        writer.writerow(["trial", "state", "objective", *short, *NAMES])
        for trial in trials:
            found, figures = (
                trial.user_attrs["options"],
                trial.user_attrs.get("figures"),
            )
            writer.writerow(
                [
                    trial.number,
                    trial.state.name.lower(),
                    "" if figures is None else trial.value,
                    *(found.get(key) for key in options),
                    *((figures or {}).get(name, "") for name in NAMES),
                ]
            )


def draw_importance(path: Path, study: optuna.Study, objective: str) -> None:
    """Draw how much of the objective's variance each option explains (fANOVA)."""
    import optuna
    from matplotlib.figure import Figure

    try:
        shares = optuna.importance.get_param_importances(study)
    except (RuntimeError, ValueError) as error:  # too few trials, or all alike
        print(f"no {path.name}: {error}")
        return
    figure = Figure(figsize=(7, 0.5 + 0.35 * len(shares)), layout="constrained")
    axes = figure.add_subplot()
    names = [*shares][::-1]
    bars = axes.barh(names, [shares[name] for name in names])
    axes.bar_label(bars, fmt=" %.2f")
    axes.margins(x=0.12)
    axes.set_xlabel(
        f"share of the variance of {objective} in {len(study.trials)} trials"
    )
    figure.savefig(path, dpi=120)


def print_figures(figures: Mapping[str, Mapping[str, Mapping]]) -> None:
    """Print the combined figures before and after, tuned and reported."""
    from fairmot_mm.evaluation import COMBINED, format_table

    rows = {
        f"{where}, {when}": found[COMBINED]
        for where, pair in figures.items()
        for when, found in pair.items()
    }
    print(format_table(rows, "Options"))


@command(make_parser)
def main(args: argparse.Namespace) -> None:
    """Search, report and write."""
    from fairmot_mm.apis.offline_tracking import config_of_dumps
    from fairmot_mm.apis.tuning import (
        Search,
        format_options,
        run_search,
        track_and_score,
        tuned_config,
    )
    from fairmot_mm.engine.hooks.dump_detections_hook import tracking_settings
    from fairmot_mm.formats.detection_dumps import read_dumps
    from fairmot_mm.formats.mot import find_sequences

    tuned, reported = check_split(args)
    truths = find_sequences(args.gt_root, [*dict.fromkeys([*tuned, *reported])] or None)
    sequences = {sequence.name: sequence for sequence in truths}
    tuned, reported = tuned or [*sequences], reported or [*sequences]
    dumps = read_dumps(args.detections, sequences)
    if args.config is None:
        base = config_of_dumps(dumps.values(), args.cfg_options)
    else:
        base = open_config(args)
    plain = tracking_settings(base)
    plain["test_evaluator"] = dict(
        type="MOTMetric", max_gap=plain["test_evaluator"].get("max_gap", 0)
    )
    splits = {
        "tuned on": [sequences[name] for name in tuned],
        "reported on": [sequences[name] for name in reported],
    }
    splits["tuned on"].sort(key=lambda sequence: sequence.length)
    figures: dict[str, dict[str, dict]] = {
        split: {
            "before": track_and_score(
                tuned_config(plain, {}), found, dumps, args.out / "results_before"
            )
        }
        for split, found in splits.items()
    }
    search = Search(
        args.detections,
        splits["tuned on"],
        plain,
        args.objective,
        args.out / "study.db",
    )
    with running():
        study = run_search(search, args.trials, args.workers)
        options = study.best_trial.user_attrs["options"]
        for split, found in splits.items():
            figures[split]["after"] = track_and_score(
                tuned_config(plain, options), found, dumps, args.out / "results_after"
            )
    write_trials(args.out / "trials.csv", study)
    draw_importance(args.out / "importance.png", study, args.objective)
    told = dict(options=options, figures=figures)
    (args.out / "figures.json").write_text(json.dumps(told, indent=2) + "\n")
    pruned = sum(trial.state.name == "PRUNED" for trial in study.trials)
    print(f"{len(study.trials)} trials, {pruned} of them given up early")
    print_figures(figures)
    print(f"--cfg-options {format_options(options)}")


if __name__ == "__main__":
    sys.exit(main())
