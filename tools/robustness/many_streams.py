"""Eight cameras that fail every thousand frames, for hundreds of thousands of frames.

    python tools/robustness/many_streams.py --frames 66000 --plot memory.png

Each camera is a server on the loopback device that sends MPEG-TS over HTTP, drops the
connection after a thousand frames, in turn also sends garbage or is silent first, and
takes it up again. A stub stands for the network. Fails if a stream is lost, memory
grows, a thread or an open file is left over, or a frame is older than --max-age.
"""

import argparse
import itertools
import os
import socket
import sys
import tempfile
import threading
import time
from fractions import Fraction
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from long_stream import resident_megabytes

from fairmot_mm.utils.command_line import Parser, command, running

if TYPE_CHECKING:
    from mmengine.structures import InstanceData
    from torch import Tensor

    from fairmot_mm.streams import Frame

CONFIG = "configs/fairmot_yolov5s_mot17.py"
SIZE, RATE, BURST = (96, 64), 25, 1000
INTERVAL = 1000


def make_parser() -> Parser:
    """Describe the command line."""
    parser = Parser(__doc__)
    parser.add_argument(
        "--frames", type=int, default=66_000, help="tracked, of all streams"
    )
    parser.add_argument("--streams", type=int, default=8)
    parser.add_argument(
        "--speed", type=float, default=2, help="of the cameras, times 25 a second"
    )
    parser.add_argument("--max-age", type=float, default=1.0, help="seconds")
    parser.add_argument("--plot", type=Path, help="PNG of memory and age over time")
    return parser


class Camera:
    """Sends frames at a camera's pace; after each burst it fails, in turn as above."""

    def __init__(self, packets: list[bytes], pace: float) -> None:
        self._packets, self._pace = packets, pace
        self._closed = threading.Event()
        self._server = socket.create_server(("127.0.0.1", 0))
        self.address = f"http://127.0.0.1:{self._server.getsockname()[1]}/camera.ts"
        self._faults = itertools.cycle(("drop", "garbage", "silence"))
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        """Send nothing more."""
        self._closed.set()
        self._server.shutdown(socket.SHUT_RDWR)  # so that accepting ends
        self._server.close()

    def _serve(self) -> None:
        while not self._closed.is_set():
            try:
                connection, _ = self._server.accept()
            except OSError:
                return
            with connection:
                try:
                    self._send(connection)
                except OSError:
                    continue  # the viewer has gone

    def _send(self, connection: socket.socket) -> None:
        connection.recv(4096)
        connection.sendall(b"HTTP/1.0 200 OK\r\nContent-Type: video/mp2t\r\n\r\n")
        start = time.monotonic()
        for number, packet in enumerate(self._packets):
            connection.sendall(packet)
            # What opening takes comes at once.
            if self._closed.wait(
                max(0, start + (number - 2 * RATE) * self._pace - time.monotonic())
            ):
                return
        fault = next(self._faults)
        if fault == "garbage":
            connection.sendall(os.urandom(10_000))
        elif fault == "silence":
            self._closed.wait(2.5)


def encoded(count: int) -> list[bytes]:
    """MPEG-TS of grey frames, in as many parts."""
    import av

    parts, file = [], BytesIO()
    with av.open(file, "w", format="mpegts") as container:
        stream = container.add_stream("mpeg2video", rate=RATE)
        stream.width, stream.height, stream.pix_fmt = *SIZE, "yuv420p"
        for number in range(count):
            image = np.full((SIZE[1], SIZE[0], 3), number % 200, np.uint8)
            frame = av.VideoFrame.from_ndarray(image, format="bgr24")
            frame.pts, frame.time_base = number, Fraction(1, RATE)
            container.mux(stream.encode(frame))
            parts.append(file.getvalue())
            file.seek(0)
            file.truncate()
    return parts


def stub(inputs: "Tensor", metas: list[dict], truth: None = None) -> list:
    """A person in the middle of each frame."""
    import torch
    from mmengine.structures import InstanceData

    return [
        InstanceData(
            bboxes=torch.tensor([[40.0, 20, 52, 50]]),
            scores=torch.tensor([0.9]),
            labels=torch.zeros(1, dtype=torch.long),
            embeddings=torch.eye(1, 8),
        )
        for _ in metas
    ]


def run(args: argparse.Namespace) -> np.ndarray:
    """Rows of seconds, MB, and the greatest age of a frame since the last row."""
    from mmengine.config import Config

    from fairmot_mm.apis import init_model, track_streams
    from fairmot_mm.streams import StreamSettings

    cfg = Config.fromfile(CONFIG)
    cfg.test_dataloader.dataset.input_size = SIZE
    cfg.model.tracker.update(min_box_area=0, max_aspect_ratio=None)
    model = init_model(cfg, device="cpu")
    model.predict_frames = stub
    packets, pace = encoded(BURST), 1 / (RATE * args.speed)
    stop, count, oldest, start = threading.Event(), 0, 0.0, time.monotonic()
    rows: list[tuple[float, float, float]] = []

    def on_frame(name: str, frame: "Frame", tracks: "InstanceData") -> None:
        nonlocal count, oldest
        count += 1
        oldest = max(oldest, time.monotonic() - frame.arrived)
        if count % INTERVAL == 0:
            rows.append((time.monotonic() - start, resident_megabytes(), oldest))
            print(f"{count} frames, {rows[-1][1]:.0f} MB, {oldest:.3f} s", flush=True)
            oldest = 0.0
        if count >= args.frames:
            stop.set()

    cameras = [Camera(packets, pace) for _ in range(args.streams)]
    before = set(threading.enumerate()), open_files()
    with tempfile.TemporaryDirectory() as folder:
        summaries = track_streams(
            model,
            {f"camera{i}": camera.address for i, camera in enumerate(cameras)},
            folder,
            settings=StreamSettings(timeout=2, reconnect=True, first_wait=0.1),
            on_frame=on_frame,
            stop=stop,
        )
    for camera in cameras:
        camera.close()
    check(summaries, before)
    return np.array(rows)


def open_files() -> int:
    """Number of open files of this process."""
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def check(summaries: dict, before: tuple[set, int]) -> None:
    """Refuse a stream that was lost, and what is left over.

    Raises:
        RuntimeError: Something was.
    """
    for name, summary in summaries.items():
        print(
            f"{name}: {summary.num_frames} frames, {summary.num_dropped} dropped, "
            f"{summary.num_losses} losses"
        )
        if summary.error is not None or not summary.num_frames:
            raise RuntimeError(f"{name} was lost: {summary.error}")
    end = time.monotonic() + 10
    while (set(threading.enumerate()) - before[0]) and time.monotonic() < end:
        time.sleep(0.1)
    if left := set(threading.enumerate()) - before[0]:
        raise RuntimeError(f"threads left over: {left}")
    if (files := open_files()) > before[1] + 2:
        raise RuntimeError(f"{files} open files, {before[1]} before")


@command(make_parser)
def main(args: argparse.Namespace) -> None:
    """Run, check and plot."""
    with running():
        seconds, memory, age = run(args).T
        if len(memory) > 20 and memory[-1] > 1.05 * memory[len(memory) // 10]:
            raise RuntimeError(f"memory grew: {memory.round().tolist()} MB")
        if (worst := age[1:].max(initial=0)) > args.max_age:
            raise RuntimeError(
                f"a frame was {worst:.2f} s old, --max-age {args.max_age}"
            )
        print(
            f"{INTERVAL * len(memory) / seconds[-1]:.0f} frames a second, memory "
            f"{memory.min():.0f} to {memory.max():.0f} MB, age at most {worst:.3f} s"
        )
    if args.plot is not None:
        from matplotlib import pyplot

        figure, axes = pyplot.subplots(2, sharex=True, layout="constrained")
        axes[0].plot(seconds, memory)
        axes[0].set(ylabel="memory (MB)", ylim=(0, None))
        axes[1].plot(seconds, age)
        axes[1].set(xlabel="seconds", ylabel="oldest frame (s)", ylim=(0, None))
        figure.savefig(args.plot)


if __name__ == "__main__":
    sys.exit(main())
