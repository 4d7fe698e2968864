"""The published networks: our parts for each, and what they call their tensors."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType

import torch

# Published heads and ours, the same in every architecture.
BRANCHES = dict(
    hm="bbox_head.heatmap_branch",
    wh="bbox_head.size_branch",
    reg="bbox_head.offset_branch",
    id="reid_head.branch",
)
# Our name -> published name of what belongs to the heads.
HEAD_NAMES = MappingProxyType(
    {
        f"{ours}.{layer}.{part}": f"{published}.{layer}.{part}"
        for published, ours in BRANCHES.items()
        for layer in (0, 2)
        for part in ("weight", "bias")
    }
    | {
        "reid_head.classifier.weight": "classifier.weight",
        "reid_head.classifier.bias": "classifier.bias",
        "task_weighting.s_det": "s_det",
        "task_weighting.s_id": "s_id",
    }
)

# Rules for the rest, our name -> published name: all are applied, in this order.


def _one_more(pattern: str) -> Callable[[re.Match], str]:
    """Replacement that writes the number a pattern found, counted from 1."""
    return lambda hit: pattern.format(*(int(n) + 1 for n in hit.groups()))


_DLA = (
    (r"\.conv_offset\.", ".conv_offset_mask."),
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
    (r"\.conv_offset\.", ".conv_offset_mask."),
    (r"^backbone\.", ""),
)
_RESFPNDCN = (
    (
        rf"^neck\.stages\.(\d+)\.({_STAGE})\.",
        lambda hit: f"deconv_layer{int(hit[1]) + 1}.{_STAGE_LAYERS.index(hit[2])}.",
    ),
    (r"^neck\.smooths\.(\d+)\.", _one_more("smooth_layer{}.")),
    (r"^neck\.projections\.(\d+)\.", _one_more("project_layer{}.")),
    (r"^((?:smooth|project)_layer\d)\.bn\.", r"\1.actf.0."),
    (r"\.conv_offset\.", ".conv_offset_mask."),
    (r"^backbone\.", ""),
)
_HRNET = ((r"^backbone\.", ""),)
# The published list of layers counts the whole network through.
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
    """A published network.

    Attributes:
        backbone: Config of our backbone.
        neck: Config of our neck.
        out_channels: Channels of the map between neck and heads.
        rules: Our names to published ones: patterns and what replaces them.
        unused: Pattern of published names that belong to no published forward pass.
        prefix: What stands before the backbone's names here, but not in the file of
            its ImageNet weights.
    """

    backbone: MappingProxyType
    neck: MappingProxyType
    out_channels: int
    rules: tuple
    unused: str = r"$^"
    prefix: str = ""


def _dla(use_dcn: bool) -> Architecture:
    return Architecture(
        dict(type="fairmot_mm.DLANet", depth=34),
        dict(type="fairmot_mm.DLANeck", use_dcn=use_dcn),
        64,
        _DLA,
        # The projection of a tree of several levels, whose subtree makes its own, and
        # the ImageNet classifier.
        unused=r"^base\.(level[34]\.project|fc)\.",
        prefix="base.",
    )


def _resdcn(depth: int) -> Architecture:
    return Architecture(
        dict(type="mmdet.ResNet", depth=depth),
        dict(type="fairmot_mm.DeconvNeck", in_channels=2048 if depth > 34 else 512),
        64,
        _RESDCN,
        unused=r"^fc\.",
    )


def _hrnet(width: int) -> Architecture:
    channels = [width * 2**i for i in range(4)]
    extra = dict(
        stage1=dict(
            num_modules=1,
            num_branches=1,
            block="BOTTLENECK",
            num_blocks=(4,),
            num_channels=(64,),
        )
    )
    for branches, modules in ((2, 1), (3, 4), (4, 3)):
        extra[f"stage{branches}"] = dict(
            num_modules=modules,
            num_branches=branches,
            block="BASIC",
            num_blocks=(4,) * branches,
            num_channels=channels[:branches],
        )
    return Architecture(
        dict(type="mmdet.HRNet", extra=extra),
        dict(type="fairmot_mm.ConcatNeck", in_channels=channels),
        sum(channels),
        _HRNET,
        # The way down to the ImageNet classifier.
        unused=r"^(incre_modules|downsamp_modules|final_layer|classifier)\.",
    )


ARCHITECTURES = {
    "dla_34": _dla(use_dcn=True),
    "dlaconv_34": _dla(use_dcn=False),
    "resdcn_18": _resdcn(18),
    "resdcn_34": _resdcn(34),
    "resdcn_50": _resdcn(50),
    "resfpndcn_34": Architecture(
        dict(type="mmdet.ResNet", depth=34),
        dict(type="fairmot_mm.DeconvFPNNeck"),
        64,
        _RESFPNDCN,
        unused=r"^fc\.",
    ),
    "hrnet_18": _hrnet(18),
    "hrnet_32": _hrnet(32),
    "yolo": Architecture(
        dict(
            type="mmdet.CSPDarknet",
            deepen_factor=0.33,
            widen_factor=0.5,
            out_indices=(1, 2, 3, 4),
            act_cfg=dict(type="SiLU"),
        ),
        dict(type="fairmot_mm.CSPNeck"),
        64,
        _YOLO,
    ),
}


@dataclass(frozen=True)
class TensorName:
    """A tensor of a published network.

    Attributes:
        published: Its published name.
        shape: Its shape.
    """

    published: str
    shape: tuple[int, ...]


def _published_name(arch: str, name: str) -> str:
    for pattern, replacement in ARCHITECTURES[arch].rules:
        name = re.sub(pattern, replacement, name)
    return name


@lru_cache
def network_tensors(arch: str) -> MappingProxyType:
    """Tensors of an architecture's backbone and neck, by our names.

    Args:
        arch (str): One of ``ARCHITECTURES``.

    Returns:
        MappingProxyType: Our name -> :class:`TensorName`.
    """
    from fairmot_mm.registry import MODELS  # the models import this package

    tensors = {}
    with torch.device("meta"):  # no memory is filled for mere names
        for part in ("backbone", "neck"):
            module = MODELS.build(getattr(ARCHITECTURES[arch], part))
            for name, tensor in module.state_dict().items():
                ours = f"{part}.{name}"
                tensors[ours] = TensorName(
                    _published_name(arch, ours), tuple(tensor.shape)
                )
    return MappingProxyType(tensors)
