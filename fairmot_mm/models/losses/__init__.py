from .task_weighting import FixedWeighting, UncertaintyWeighting

__all__ = ["FixedWeighting", "UncertaintyWeighting"]
