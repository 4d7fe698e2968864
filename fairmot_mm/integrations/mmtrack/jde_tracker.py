from typing import Any

from mmengine.structures import InstanceData
from mmtrack.models.mot import BaseMultiObjectTracker
from mmtrack.models.trackers import BaseTracker
from mmtrack.structures import TrackDataSample
from torch import Tensor

from fairmot_mm.models import JDETracker
from fairmot_mm.registry import MODELS


@MODELS.register_module()
class MMTrackJDETracker(JDETracker):
    """:class:`JDETracker` with the embeddings of a model's ReID network.

    For models with a separate ReID network, such as MMTracking's ``DeepSORT``, in place
    of its ``SORTTracker``. ``JDETracker`` itself takes the embeddings that come with
    the detections and associates by motion alone without them.

    Args:
        reid_img_scale: Height and width of the ReID network's input.
        **kwargs: For :class:`JDETracker`.
    """

    # Crops boxes from the network input, as for every tracker of MMTracking.
    crop_imgs = BaseTracker.crop_imgs

    def __init__(
        self, reid_img_scale: tuple[int, int] = (256, 128), **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.reid = dict(img_scale=tuple(reid_img_scale))

    def track(  # type: ignore[override]  # MMTracking hands over a model each time
        self,
        model: BaseMultiObjectTracker,
        img: Tensor,
        data_sample: TrackDataSample,
        rescale: bool = False,
        **kwargs: Any,
    ) -> InstanceData:
        """Track the ``pred_det_instances`` of the next frame, see :meth:`update`.

        The model's ``reid`` embeds crops (M, 3, h, w) of ``img`` (1, 3, H, W), the
        network's input; ``rescale`` if boxes are in pixels of the original image.

        Raises:
            AttributeError: The model has no ReID network.
        """
        if not model.with_reid:
            raise AttributeError(
                f"{type(model).__name__} was built without reid: set model.reid, or "
                "track by motion with fairmot_mm.JDETracker"
            )
        found = data_sample.pred_det_instances
        found = found[found.scores > self.lowest_score]
        crops = self.crop_imgs(
            img, data_sample.metainfo, found.bboxes.clone(), rescale=rescale
        )
        if len(crops) > 0:
            found.embeddings = model.reid(crops, mode="tensor")
        data_sample.pred_instances = found
        # MMTracking's DeepSORT passes the config it was built from, not the module.
        kwargs["data_preprocessor"] = model.data_preprocessor
        return super().track(model, img, data_sample=data_sample, **kwargs)
