from mmengine.dist import master_only
from mmengine.hooks import LoggerHook
from mmengine.runner import Runner

from fairmot_mm.registry import HOOKS


@HOOKS.register_module()
class MasterLoggerHook(LoggerHook):
    """``LoggerHook`` that writes the figures of a test in the main process only.

    MMEngine's writes the same JSON file from all processes at once; their times differ
    in length, so the mixture is not valid JSON.
    """

    @master_only
    def after_test_epoch(
        self, runner: Runner, metrics: dict[str, float] | None = None
    ) -> None:
        """Log the figures and write them to the log folder."""
        super().after_test_epoch(runner, metrics)
