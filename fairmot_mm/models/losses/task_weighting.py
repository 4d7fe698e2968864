import torch
from torch import Tensor, nn

from fairmot_mm.registry import MODELS


@MODELS.register_module()
class UncertaintyWeighting(nn.Module):
    """Learned balance of detection and ReID (FairMOT, eq. 5 and 6).

    ``0.5 * (exp(-s_det) * detection + exp(-s_id) * reid + s_det + s_id)`` after Kendall
    et al., CVPR 2018, with both ``s`` learned.

    Args:
        s_det: Start of the detection's log variance.
        s_id: Start of the ReID's log variance.
    """

    def __init__(self, s_det: float = -1.85, s_id: float = -1.05) -> None:
        super().__init__()
        self.s_det = nn.Parameter(torch.tensor([s_det]))
        self.s_id = nn.Parameter(torch.tensor([s_id]))

    def forward(self, detection: Tensor, reid: Tensor) -> Tensor:
        """Join two scalar losses to one."""
        total = torch.exp(-self.s_det) * detection + torch.exp(-self.s_id) * reid
        return 0.5 * (total + self.s_det + self.s_id).squeeze()


@MODELS.register_module()
class FixedWeighting(nn.Module):
    """Fixed balance of detection and ReID.

    Args:
        det_weight: Weight of the detection losses.
        id_weight: Weight of the ReID loss, 0.1 in the reference implementation.
    """

    def __init__(self, det_weight: float = 1.0, id_weight: float = 0.1) -> None:
        super().__init__()
        self.det_weight = det_weight
        self.id_weight = id_weight

    def forward(self, detection: Tensor, reid: Tensor) -> Tensor:
        """Join two scalar losses to one."""
        return self.det_weight * detection + self.id_weight * reid
