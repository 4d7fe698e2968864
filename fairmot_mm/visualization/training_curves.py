"""Curves of trainings, read from what MMEngine logs."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mmengine.config import Config

from .pages import write_page

Curve = tuple[list[int], list[float]]

# What a line of the log says beside losses, rates and figures.
_CLOCK = ("data_time", "time", "memory", "epoch", "iter", "step", "base_lr", "lr")
_RATE = "lr"
_TOTAL = "loss"
_LEADING = ("mot/HOTA", "mot/MOTA", "mot/IDF1", "mot/DetA", "mot/AssA")


@dataclass(frozen=True)
class TrainingLog:
    """What a work folder says about a training.

    Attributes:
        name: The folder.
        losses: By name, over the iterations; the one that is trained is ``loss``.
        rate: The learning rate.
        figures: Validation figures by name, at the iteration before the validation.
        config: The config of the newest run, None if there is none.
    """

    name: str
    losses: dict[str, Curve]
    rate: Curve
    figures: dict[str, Curve]
    config: Config | None


def read_training(work_dir: Path) -> TrainingLog:
    """Read the logs of a work folder; of resumed runs the newest value counts.

    Raises:
        FileNotFoundError: There is no log in the folder.
        ValueError: A log holds no training, or ``FILE:LINE`` is no JSON.
    """
    paths = sorted(work_dir.glob("*/vis_data/scalars.json"))
    if not paths:
        raise FileNotFoundError(
            f"{work_dir}: no TIME/vis_data/scalars.json in it, so no training's folder "
            "(or its config has no LocalVisBackend in visualizer.vis_backends)"
        )
    points: dict[tuple[bool, str], dict[int, float]] = {}
    for path in paths:
        step = 0
        for number, line in enumerate(path.read_text().splitlines(), 1):
            try:
                entry = json.loads(line)
            except json.JSONDecodeError as error:
                raise ValueError(f"{path}:{number}: no JSON: {error.msg}") from error
            trained = _TOTAL in entry
            step = int(entry["step"]) if trained else step
            for name, value in entry.items():
                if name not in _CLOCK or (trained and name == _RATE):
                    points.setdefault((trained, name), {})[step] = float(value)
    if (True, _TOTAL) not in points:
        raise ValueError(f"{work_dir}: its logs hold no training (no {_TOTAL!r})")
    curves = {key: _curve(found) for key, found in points.items()}
    losses = {name: curve for (trained, name), curve in curves.items() if trained}
    rate = losses.pop(_RATE, ([], []))
    losses.pop("grad_norm", None)
    return TrainingLog(
        str(work_dir),
        losses,
        rate,
        {name: curve for (trained, name), curve in curves.items() if not trained},
        _read_config(paths[-1].with_name("config.py")),
    )


def draw_training(log: TrainingLog, path: Path) -> None:
    """Draw the losses, the learning rate and the validation figures into a PNG.

    Raises:
        OSError: It cannot be written.
    """
    from matplotlib.figure import Figure

    parts = {name: curve for name, curve in log.losses.items() if name != _TOTAL}
    panels: list[tuple[str, Mapping[str, Curve]]] = [
        ("loss", {_TOTAL: log.losses[_TOTAL]}),
        ("parts of the loss", parts),
        ("learning rate", {_RATE: log.rate}),
        ("validation", chosen_figures([log])),
    ]
    panels = [panel for panel in panels if panel[1]]
    figure = Figure(
        figsize=(6 * 2, 3.4 * ((len(panels) + 1) // 2)), layout="constrained"
    )
    for i, (title, curves) in enumerate(panels, 1):
        axes = figure.add_subplot((len(panels) + 1) // 2, 2, i)
        axes.set_title(title)
        axes.set_xlabel("iteration")
        axes.grid(alpha=0.3)
        for name, (steps, values) in curves.items():
            axes.plot(steps, values, marker="." if len(steps) < 40 else "", label=name)
        if title == "parts of the loss":
            axes.set_yscale("log")
        if len(curves) > 1:
            axes.legend(fontsize="small")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=100)


def chosen_figures(logs: Sequence[TrainingLog]) -> dict[str, Curve]:
    """The leading validation figures of the first training; all others without them."""
    figures = logs[0].figures
    chosen = {name: figures[name] for name in _LEADING if name in figures}
    if chosen:
        return chosen
    return {
        name: curve for name, curve in figures.items() if max(map(abs, curve[1])) <= 1
    }


def write_training_report(path: Path, logs: Sequence[TrainingLog]) -> None:
    """Write a page that compares trainings: curves, figures and settings.

    Raises:
        OSError: The page cannot be written.
    """
    names = [*dict.fromkeys(name for log in logs for name in log.losses)]
    figures = [*dict.fromkeys(name for log in logs for name in log.figures)]
    groups = {
        "losses": {name: [log.losses.get(name) for log in logs] for name in names},
        "rate": {_RATE: [log.rate for log in logs]},
        "figures": {name: [log.figures.get(name) for log in logs] for name in figures},
    }
    write_page(
        path,
        "training_report.html",
        dict(names=[log.name for log in logs], groups=groups),
        title="Training report",
        names=[log.name for log in logs],
        settings=_differences([log.config for log in logs]),
        figures=[
            dict(
                name=name, cells=[_last_and_best(log.figures.get(name)) for log in logs]
            )
            for name in figures
        ],
    )


def _curve(points: Mapping[int, float]) -> Curve:
    steps = sorted(points)
    return steps, [points[step] for step in steps]


def _last_and_best(curve: Curve | None) -> str:
    if curve is None:
        return "-"
    steps, values = curve
    best = max(values)
    return f"{values[-1]:.4g} (greatest {best:.4g} at {steps[values.index(best)]})"


def _read_config(path: Path) -> Config | None:
    return Config.fromfile(path) if path.is_file() else None


def _differences(configs: Sequence[Config | None]) -> list[dict]:
    """Settings in which configs differ."""
    flat = [_flatten(config.to_dict()) if config else {} for config in configs]
    keys = sorted({key for settings in flat for key in settings} - {"work_dir"})
    rows = [(key, [str(settings.get(key, "-")) for settings in flat]) for key in keys]
    return [dict(key=key, values=cells) for key, cells in rows if len({*cells}) > 1]


def _flatten(settings: object, prefix: str = "") -> dict[str, object]:
    if isinstance(settings, dict):
        items = ((str(key), value) for key, value in settings.items())
    elif isinstance(settings, list | tuple) and any(
        isinstance(value, dict) for value in settings
    ):
        items = ((str(index), value) for index, value in enumerate(settings))
    else:
        return {prefix.removesuffix("."): settings}
    found: dict[str, object] = {}
    for key, value in items:
        found |= _flatten(value, f"{prefix}{key}.")
    return found
