from functools import lru_cache
from pathlib import Path

from mmcv.transforms import BaseTransform

from fairmot_mm.formats.mot import read_sequence
from fairmot_mm.registry import TRANSFORMS


@TRANSFORMS.register_module()
class LoadFrameRate(BaseTransform):
    """Load the frame rate of a sequence, which MMTracking's annotations lack.

    ``JDETracker`` keeps lost tracks for a time, not for a number of frames. Without
    this transform it assumes 30 frames per second.

    Required Keys: ``img_path``, which is ``SEQUENCE/img1/000001.jpg`` beside
    ``SEQUENCE/seqinfo.ini``.

    Added Keys: ``frame_rate``; to be packed by
    ``PackTrackInputs(meta_keys=('frame_rate',))``.
    """

    def transform(self, results: dict) -> dict:
        """Load it for one image, see :func:`read_sequence` for errors."""
        results["frame_rate"] = _frame_rate(Path(results["img_path"]).parents[1])
        return results

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"


@lru_cache
def _frame_rate(folder: Path) -> float:
    return read_sequence(folder).frame_rate
