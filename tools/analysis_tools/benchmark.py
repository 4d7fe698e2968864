"""Time the plugin and the reference implementation in one run.

python tools/analysis_tools/benchmark.py [--only network tracker] [--out FILE.json]
"""

import argparse
import json
import sys
from pathlib import Path

from fairmot_mm.utils.command_line import Parser, command, find_device

SECTIONS = (
    "deform_conv",
    "network",
    "training",
    "tracker",
    "loader",
    "pipeline",
    "classifier",
    "exported",
    "streams",
)


def make_parser() -> Parser:
    """Describe the command line."""
    parser = Parser(__doc__)
    parser.add_argument("--only", nargs="+", choices=SECTIONS, default=SECTIONS)
    parser.add_argument(
        "--runs", type=int, default=5, help="the median of so many is shown"
    )
    parser.add_argument("--device", help="default: cuda if there is one")
    parser.add_argument(
        "--video", help="1080p file for the section exported; default: a rendered one"
    )
    parser.add_argument("--out", help="JSON file for the figures")
    return parser


@command(make_parser)
def main(args: argparse.Namespace) -> None:
    """Time the chosen sections."""
    import benchmark_exported
    import benchmark_sections
    import benchmark_streams
    from mmengine.registry import init_default_scope

    from fairmot_mm.engine.runner import keep_freed_memory

    if args.runs < 1:
        raise ValueError(f"--runs is {args.runs}, expected at least 1")
    keep_freed_memory()
    init_default_scope("fairmot_mm")
    report = benchmark_sections.Report(args.runs, find_device(args.device))
    environment = benchmark_sections.environment(report.device)
    print(environment)
    for name in args.only:
        if name == "exported":
            benchmark_exported.exported(report, args.video)
        elif name == "streams":
            benchmark_streams.streams(report)
        else:
            getattr(benchmark_sections, name)(report)
    report.show()
    if args.out is not None:
        figures = dict(environment=environment, rows=report.rows)
        Path(args.out).write_text(json.dumps(figures, indent=2))
        print(args.out)


if __name__ == "__main__":
    sys.exit(main())
