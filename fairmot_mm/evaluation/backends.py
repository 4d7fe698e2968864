"""The libraries that compute figures; each is imported when it is first used."""

from collections.abc import Mapping, Sequence
from importlib import import_module

from .cases import Case
from .figures import Figures

BACKENDS = ("trackeval", "motmetrics")


def evaluate(cases: Sequence[Case], backend: str) -> Figures:
    """Score by one of ``BACKENDS``: see ``evaluate`` in ``BACKEND_backend.py``."""
    return import_module(f".{backend}_backend", __package__).evaluate(cases)


def evaluate_by_class(cases: Mapping[str, Sequence[Case]], backend: str) -> Figures:
    """Score classes: see ``evaluate_by_class`` in ``BACKEND_backend.py``."""
    return import_module(f".{backend}_backend", __package__).evaluate_by_class(cases)
