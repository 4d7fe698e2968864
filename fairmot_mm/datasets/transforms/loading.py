from mmcv.transforms import LoadImageFromFile

from fairmot_mm.formats.video_file import read_frame
from fairmot_mm.registry import TRANSFORMS


@TRANSFORMS.register_module()
class CheckedLoadImageFromFile(LoadImageFromFile):
    """``LoadImageFromFile`` whose errors always name the file; it also loads videos.

    MMCV names the file only if decoding returns nothing, not if it is empty or missing.

    Required Keys: ``img_path``; ``frame_index`` if that is a video, from 0.

    Added Keys: ``img``, ``img_shape``, ``ori_shape``.
    """

    def transform(self, results: dict) -> dict:
        """Load the image.

        Raises:
            OSError: The file cannot be read or decoded.
        """
        try:
            if "frame_index" not in results:
                return super().transform(results)
            image = read_frame(results["img_path"], results["frame_index"])
        except Exception as error:
            raise OSError(
                f"unreadable image {results['img_path']}: {error}. Restore the file or "
                "take its sequence out of the data set"
            ) from error
        results["img"] = image
        results["img_shape"] = results["ori_shape"] = image.shape[:2]
        return results
