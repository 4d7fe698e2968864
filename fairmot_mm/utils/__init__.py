from fairmot_mm.checkpoints import convert_fairmot_checkpoint, load_for_tracking

__all__ = ["convert_fairmot_checkpoint", "load_for_tracking"]
