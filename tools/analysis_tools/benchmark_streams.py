"""Several streams through one network, for benchmark.py."""

import tempfile
import time
from pathlib import Path

from benchmark_exported import FRAMES, render
from benchmark_sections import Report

from fairmot_mm.apis import init_model, track_streams

COUNTS = (1, 2, 4, 8)


def streams(report: Report) -> None:
    """Files of 1080p, read at once as fast as they are tracked by the light network."""
    model = init_model(None, device=report.device)
    with tempfile.TemporaryDirectory() as folder:
        source = render(Path(folder))
        for count in COUNTS:
            sources = dict.fromkeys(map(str, range(count)), source)
            track_streams(model, sources, folder)  # warm
            spent = []
            for _ in range(report.runs):
                start = time.perf_counter()
                summaries = track_streams(model, sources, folder)
                frames = sum(x.num_frames for x in summaries.values())
                if frames != count * FRAMES:
                    raise RuntimeError(f"{frames} of {count * FRAMES} frames tracked")
                spent.append((time.perf_counter() - start) / frames)
            each = sorted(spent)[len(spent) // 2]
            text = (
                f"{count} streams of 1080p to tracks ({1 / each:.1f} frames a second)"
            )
            report.add(text, 1e3 * each)
