from .inference import inference_mot, init_model

__all__ = ["inference_mot", "init_model"]
