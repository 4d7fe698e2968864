from mmcv.transforms import LoadImageFromFile

from fairmot_mm.registry import TRANSFORMS


@TRANSFORMS.register_module()
class CheckedLoadImageFromFile(LoadImageFromFile):
    """``LoadImageFromFile`` that names the file whatever is wrong with it.

    MMCV names it only where decoding gives nothing; an empty or missing file fails
    deeper down, without its path.

    Required Keys: ``img_path``.

    Added Keys: ``img``, ``img_shape``, ``ori_shape``.
    """

    def transform(self, results: dict) -> dict:
        """Load the image.

        Raises:
            OSError: If the file cannot be read or decoded.
        """
        try:
            return super().transform(results)
        except Exception as error:
            raise OSError(
                f"unreadable image {results['img_path']}: {error}. Restore the file or "
                "take its sequence out of the data set"
            ) from error
