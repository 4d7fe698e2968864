from .backends import BACKENDS, evaluate
from .cases import load_cases
from .detection_metric import DetectionMetric
from .embedding_metric import EmbeddingMetric
from .figures import COMBINED, format_table
from .mot_metric import MOTMetric

__all__ = [
    "BACKENDS",
    "COMBINED",
    "DetectionMetric",
    "EmbeddingMetric",
    "MOTMetric",
    "evaluate",
    "format_table",
    "load_cases",
]
