from mmtrack.models.mot import BaseMultiObjectTracker
from mmtrack.structures import TrackDataSample
from torch import Tensor

from fairmot_mm.models import FairMOT
from fairmot_mm.registry import MODELS

Inputs = dict[str, Tensor] | Tensor


@MODELS.register_module()
class MMTrackFairMOT(FairMOT, BaseMultiObjectTracker):
    """:class:`FairMOT` for MMTracking's data, trackers, hooks and metrics.

    The same model, arguments and weights; only inputs and outputs follow MMTracking:
    ``inputs`` are a dict whose ``img`` is (N, 1, 3, H, W), RGB in [0, 1], with one
    ``TrackDataSample`` per image; bare images (N, 3, H, W) are accepted as well.
    ``data_preprocessor`` is ``mmtrack.TrackDataPreprocessor``, ``tracker`` ours or one
    of MMTracking's.
    """

    def _forward(
        self, inputs: Inputs, data_samples: list[TrackDataSample] | None = None
    ) -> dict[str, Tensor]:
        return super()._forward(_images(inputs))

    def loss(
        self, inputs: Inputs, data_samples: list[TrackDataSample]
    ) -> dict[str, Tensor]:
        """Compute the joint loss, see :meth:`FairMOT.loss`.

        ``gt_instances`` have ``instances_id``, as ``PackTrackInputs`` makes them.

        Raises:
            KeyError: The identities were not loaded.
        """
        for sample in data_samples:
            instances = sample.gt_instances
            if "instances_id" not in instances:
                raise KeyError(
                    "gt_instances.instances_id is missing for "
                    f"{sample.get('img_path', 'an image')}: load the annotations with "
                    "LoadTrackAnnotations(with_instance_id=True)"
                )
            instances.instances_ids = instances.instances_id
        return super().loss(_images(inputs), data_samples)

    def predict(
        self, inputs: Inputs, data_samples: list[TrackDataSample]
    ) -> list[TrackDataSample]:
        """Track the next frames of a video; a ``frame_id`` of 0 starts a new one.

        Returns:
            The samples, with ``pred_det_instances`` and ``pred_track_instances``.
        """
        for image, sample in zip(_images(inputs), data_samples, strict=True):
            self.track_frame(image[None], sample)
        return data_samples


def _images(inputs: Inputs) -> Tensor:
    """Images (N, 3, H, W) of MMTracking's inputs."""
    if isinstance(inputs, Tensor):
        return inputs
    shapes = {key: tuple(value.shape) for key, value in inputs.items()}
    if [*shapes] != ["img"] or len(shapes["img"]) != 5 or shapes["img"][1] != 1:
        raise ValueError(
            f"inputs of shapes {shapes}: expected img (N, 1, 3, H, W) alone. FairMOT "
            "takes single frames: set ref_img_sampler=None of the dataset and "
            "pack_single_img=True of PackTrackInputs"
        )
    return inputs["img"][:, 0]
