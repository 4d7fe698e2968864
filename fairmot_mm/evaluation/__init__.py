from .backends import BACKENDS, evaluate
from .cases import load_cases
from .figures import COMBINED, format_table
from .mot_metric import MOTMetric

__all__ = [
    "BACKENDS",
    "COMBINED",
    "MOTMetric",
    "evaluate",
    "format_table",
    "load_cases",
]
