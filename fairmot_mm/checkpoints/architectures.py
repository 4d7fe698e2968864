"""The networks of the reference implementation, and what it calls their tensors."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial

import torch
from mmengine.config import Config

from fairmot_mm.utils.paths import CONFIGS

# Published heads and ours, the same in every architecture.
BRANCHES = dict(
    hm="bbox_head.heatmap_branch",
    wh="bbox_head.size_branch",
    reg="bbox_head.offset_branch",
    id="reid_head.branch",
)
# Our name -> published name, of the heads.
HEAD_NAMES = {
    f"{ours}.{layer}.{part}": f"{published}.{layer}.{part}"
    for published, ours in BRANCHES.items()
    for layer in (0, 2)
    for part in ("weight", "bias")
} | {
    "reid_head.classifier.weight": "classifier.weight",
    "reid_head.classifier.bias": "classifier.bias",
    "task_weighting.s_det": "s_det",
    "task_weighting.s_id": "s_id",
}

# Rules for the rest, our name -> published name: all are applied, in this order.


def _one_more(pattern: str) -> Callable[[re.Match], str]:
    """Replacement that writes the number a pattern found, counted from 1."""
    return lambda hit: pattern.format(int(hit[1]) + 1)


_OFFSET = (r"\.conv_offset\.", ".conv_offset_mask.")
_BARE_BACKBONE = (r"^backbone\.", "")
_DLA = (
    _OFFSET,
    (r"^neck\.dla_up\.(\d+)\.", r"dla_up.ida_\1."),
    (r"^neck\.ida_up\.", "ida_up."),
    (r"\.projections\.(\d+)\.", _one_more(".proj_{}.")),
    (r"\.upsamples\.(\d+)\.", _one_more(".up_{}.")),
    (r"\.nodes\.(\d+)\.", _one_more(".node_{}.")),
    (r"((?:proj|node)_\d+)\.bn\.", r"\1.actf.0."),
    (r"^backbone\.", "base."),
    (r"(base_layer|level[01]|project)\.conv\.", r"\1.0."),
    (r"(base_layer|level[01]|project)\.bn\.", r"\1.1."),
    (r"\.conv([12])\.conv\.", r".conv\1."),
    (r"\.conv([12])\.bn\.", r".bn\1."),
)
# Place of the layers of a stage within the published ``nn.Sequential``.
_STAGE_LAYERS = ("conv.conv", "conv.bn", None, "deconv.conv", "deconv.bn", None)
_STAGE = "|".join(re.escape(name) for name in _STAGE_LAYERS if name)
_RESDCN = (
    (
        rf"^neck\.stages\.(\d+)\.({_STAGE})\.",
        lambda hit: f"deconv_layers.{6 * int(hit[1]) + _STAGE_LAYERS.index(hit[2])}.",
    ),
    _OFFSET,
    _BARE_BACKBONE,
)
_RESFPNDCN = (
    (
        rf"^neck\.stages\.(\d+)\.({_STAGE})\.",
        lambda hit: f"deconv_layer{int(hit[1]) + 1}.{_STAGE_LAYERS.index(hit[2])}.",
    ),
    (r"^neck\.smooths\.(\d+)\.", _one_more("smooth_layer{}.")),
    (r"^neck\.projections\.(\d+)\.", _one_more("project_layer{}.")),
    (r"^((?:smooth|project)_layer\d)\.bn\.", r"\1.actf.0."),
    _OFFSET,
    _BARE_BACKBONE,
)
# The reference implementation numbers the layers of the whole network in one list.
_YOLO_FIRST = dict(reductions=10, csp_layers=13)
_YOLO = (
    (r"^backbone\.stem\.", "backbone.model.0."),
    (
        r"^backbone\.stage(\d)\.(\d)\.",
        lambda hit: f"backbone.model.{2 * int(hit[1]) - 1 + int(hit[2])}.",
    ),
    (
        r"^neck\.(reductions|csp_layers)\.(\d)\.",
        lambda hit: f"backbone.model.{4 * int(hit[2]) + _YOLO_FIRST[hit[1]]}.",
    ),
    (r"\.main_conv\.", ".cv1."),
    (r"\.short_conv\.", ".cv2."),
    (r"\.final_conv\.", ".cv3."),
    (r"\.blocks\.", ".m."),
    (r"^(backbone\.model\.\d+(?:\.m\.\d+)?)\.conv([12])\.", r"\1.cv\2."),
)


@dataclass(frozen=True)
class Architecture:
    """A network of the reference implementation.

    Attributes:
        config: Name of the config that builds it here.
        rules: Our names to the reference's: patterns and what replaces them.
        unused: Pattern of the reference's names that no forward pass reads.
        prefix: What stands before the backbone's names here, but not in the file of
            its ImageNet weights.
    """

    config: str
    rules: tuple
    unused: str = r"$^"
    prefix: str = ""

    @cached_property
    def model(self) -> Config:
        """The model's config."""
        return Config.fromfile(CONFIGS / f"{self.config}.py").model

    @cached_property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Shapes of the tensors of backbone and neck, by our names."""
        from fairmot_mm.registry import MODELS  # the models import this package

        shapes = {}
        with torch.device("meta"):  # no memory is filled for mere shapes
            for part in ("backbone", "neck"):
                module = MODELS.build(dict(self.model[part], _scope_="fairmot_mm"))
                for name, tensor in module.state_dict().items():
                    shapes[f"{part}.{name}"] = tuple(tensor.shape)
        return shapes

    @cached_property
    def names(self) -> dict[str, str]:
        """What the reference implementation calls these tensors, by our names."""
        names = {}
        for ours in self.shapes:
            names[ours] = ours
            for pattern, replacement in self.rules:
                names[ours] = re.sub(pattern, replacement, names[ours])
        return names


_dla = partial(
    Architecture,
    rules=_DLA,
    # The projection of a tree of several levels, whose subtree makes its own, and the
    # ImageNet classifier.
    unused=r"^base\.(level[34]\.project|fc)\.",
    prefix="base.",
)
_resnet = partial(Architecture, rules=_RESDCN, unused=r"^fc\.")
_hrnet = partial(
    Architecture,
    rules=(_BARE_BACKBONE,),
    # The ImageNet classifier and the layers before it alone.
    unused=r"^(incre_modules|downsamp_modules|final_layer|classifier)\.",
)
ARCHITECTURES = {
    "dla_34": _dla("fairmot_dla34_mot17"),
    "dlaconv_34": _dla("fairmot_dlaconv34_mot17"),
    "resdcn_18": _resnet("fairmot_resdcn18_mot17"),
    "resdcn_34": _resnet("fairmot_resdcn34_mot17"),
    "resdcn_50": _resnet("fairmot_resdcn50_mot17"),
    "resfpndcn_34": _resnet("fairmot_resfpndcn34_mot17", rules=_RESFPNDCN),
    "hrnet_18": _hrnet("fairmot_hrnetw18_mot17"),
    "hrnet_32": _hrnet("fairmot_hrnetw32_mot17"),
    "yolo": Architecture("fairmot_yolov5s_mot17", _YOLO),
}
