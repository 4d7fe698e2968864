from .backends import BACKENDS, evaluate, evaluate_by_class
from .cases import ClassNumbers, by_class, load_cases, mot_classes
from .detection_metric import DetectionMetric
from .embedding_metric import EmbeddingMetric
from .figures import COMBINED, format_table
from .mot_metric import MOTMetric

__all__ = [
    "BACKENDS",
    "COMBINED",
    "ClassNumbers",
    "DetectionMetric",
    "EmbeddingMetric",
    "MOTMetric",
    "by_class",
    "evaluate",
    "evaluate_by_class",
    "format_table",
    "load_cases",
    "mot_classes",
]
