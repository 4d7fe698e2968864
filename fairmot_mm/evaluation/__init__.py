from .mot_metric import MOTMetric

__all__ = ["MOTMetric"]
