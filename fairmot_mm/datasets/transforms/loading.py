from mmcv.transforms import BaseTransform

from fairmot_mm.formats.video_file import read_frame
from fairmot_mm.registry import TRANSFORMS


@TRANSFORMS.register_module()
class CheckedLoadImageFromFile(BaseTransform):
    """Load an image, or a frame of a video; errors name the file.

    MMCV's ``LoadImageFromFile`` knows no videos, and names no file that is empty.

    Required Keys: ``img_path``; ``frame_index`` if that is a video, from 0.

    Added Keys: ``img``, ``img_shape``, ``ori_shape``.
    """

    def transform(self, results: dict) -> dict:
        """Load the image.

        Raises:
            OSError: The file cannot be read or decoded.
        """
        try:
            image = read_frame(results["img_path"], results.get("frame_index"))
        except OSError as error:
            raise OSError(
                f"{error}. Restore the file or take its sequence out of the data set"
            ) from error
        results["img"] = image
        results["img_shape"] = results["ori_shape"] = image.shape[:2]
        return results
