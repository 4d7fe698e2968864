"""Size, cost and speed of the configs' networks.

python tools/analysis_tools/model_table.py [CONFIG ...]

Multiply-adds are counted at 1088x608; a deformable convolution counts as a plain one of
its size. Times are of the network and its decoding, on this machine.
"""

import argparse
import sys
import time
from pathlib import Path
from statistics import median

import torch
from mmengine.analysis import FlopAnalyzer
from mmengine.config import Config
from mmengine.registry import init_default_scope
from torch import nn

from fairmot_mm.models import DCNv2, FairMOT
from fairmot_mm.registry import MODELS
from fairmot_mm.utils.command_line import Parser, command

CONFIGS = Path(__file__).parents[2] / "configs"
WIDTH, HEIGHT = 1088, 608


class _Network(nn.Module):
    """All maps of a model, as a tuple."""

    def __init__(self, model: FairMOT) -> None:
        super().__init__()
        self.model = model

    def forward(self, inputs: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return tuple(self.model(inputs, mode="tensor").values())


def build(config: Path) -> FairMOT:
    """The model of a config, for tracking."""
    cfg = Config.fromfile(config)
    init_default_scope(cfg.default_scope)
    return MODELS.build(cfg.model).eval()


def multiply_adds(model: FairMOT) -> int:
    """Multiply-adds of all maps of one frame."""
    for module in model.modules():
        if isinstance(module, DCNv2):
            module.backend = "torchvision"  # an operator that shows in a trace
    analyzer = FlopAnalyzer(_Network(model), torch.zeros(1, 3, HEIGHT, WIDTH))
    analyzer.set_op_handle("torchvision::deform_conv2d", _deform_conv)
    analyzer.unsupported_ops_warnings(False).uncalled_modules_warnings(False)
    total = analyzer.total()
    for module in model.modules():
        if isinstance(module, DCNv2):
            module.backend = "auto"
    return total


def _deform_conv(inputs: list, outputs: list) -> int:
    """Multiply-adds of a plain convolution with this weight and this output."""
    weight, out = inputs[1].type().sizes(), outputs[0].type().sizes()
    cells = out[0] * out[2] * out[3]
    return cells * weight[0] * weight[1] * weight[2] * weight[3]


@torch.no_grad()
def seconds(model: FairMOT, repeats: int) -> float:
    """Median time of the network and its decoding of a frame."""
    image = torch.rand(1, 3, HEIGHT, WIDTH)
    times = []
    for _ in range(repeats + 1):  # the first one warms up
        start = time.perf_counter()
        model.predict_frame(image, dict(ori_shape=(1080, 1920)))
        times.append(time.perf_counter() - start)
    return median(times[1:])


def make_parser() -> Parser:
    """Describe the command line."""
    parser = Parser(__doc__)
    default = sorted(CONFIGS.glob("fairmot_*_mot17.py"))
    parser.add_argument("configs", nargs="*", type=Path, default=default)
    parser.add_argument("--repeats", type=int, default=3, help="frames to time")
    return parser


@command(make_parser)
def main(args: argparse.Namespace) -> None:
    """Print a table of all networks."""
    print(f"{torch.get_num_threads()} threads")
    print(
        "| network | parameters | multiply-adds | time per frame |\n|---|---|---|---|"
    )
    for config in args.configs:
        model = build(config)
        parameters = sum(p.numel() for p in model.parameters()) / 1e6
        cost = multiply_adds(model) / 1e9
        print(
            f"| {config.stem} | {parameters:.1f} M | {cost:.1f} G | "
            f"{seconds(model, args.repeats):.2f} s |",
            flush=True,
        )


if __name__ == "__main__":
    sys.exit(main())
