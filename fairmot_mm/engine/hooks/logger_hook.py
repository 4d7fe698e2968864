from mmengine.dist import master_only
from mmengine.hooks import LoggerHook

from fairmot_mm.registry import HOOKS


@HOOKS.register_module()
class MasterLoggerHook(LoggerHook):
    """``LoggerHook`` of which one process alone writes the figures of a test.

    MMEngine's writes the same JSON file from all of them at once; their times differ in
    length, and what is left of two is then no JSON.
    """

    @master_only
    def after_test_epoch(self, *args, **kwargs) -> None:
        """Log the figures and write them to the log folder."""
        super().after_test_epoch(*args, **kwargs)
