"""A camera on the loopback device, which fails as cameras do."""

import io
import socket
import threading
from fractions import Fraction

import av
import numpy as np

RATE = 25


def encode(numbers, size=(64, 48), start=0.0, **options):
    """An MPEG transport stream of grey frames, each as bright as its number says."""
    file = io.BytesIO()
    with av.open(file, "w", format="mpegts") as container:
        stream = container.add_stream("libx264", rate=RATE)
        stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
        stream.options = dict(tune="zerolatency", g="5") | options
        for i, number in enumerate(numbers):
            image = np.full((size[1], size[0], 3), 10 * (number % 25), np.uint8)
            frame = av.VideoFrame.from_ndarray(image, format="bgr24")
            frame.pts, frame.time_base = i + round(start * RATE), Fraction(1, RATE)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return file.getvalue()


class Camera:
    """Serves one script per connection, the last one over and over.

    Opening a stream takes more than two seconds of it, or its end.

    A script is a list of bytes to send, seconds to wait, or events to wait for; then
    the connection is dropped.
    """

    def __init__(self, *scripts):
        self.scripts, self.num_connections = scripts, 0
        self.closed = threading.Event()
        self._server = socket.create_server(("127.0.0.1", 0))
        self.address = f"http://127.0.0.1:{self._server.getsockname()[1]}/live.ts"
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self):
        self.closed.set()
        self._server.shutdown(socket.SHUT_RDWR)  # so that accepting ends
        self._server.close()

    def _serve(self):
        while not self.closed.is_set():
            try:
                connection, _ = self._server.accept()
            except OSError:
                return
            script = self.scripts[min(self.num_connections, len(self.scripts) - 1)]
            self.num_connections += 1
            args = (connection, script)
            threading.Thread(target=self._answer, args=args, daemon=True).start()

    def _answer(self, connection, script):
        with connection:
            try:
                connection.recv(4096)
                connection.sendall(
                    b"HTTP/1.0 200 OK\r\nContent-Type: video/mp2t\r\n\r\n"
                )
                for step in script:
                    if isinstance(step, bytes):
                        connection.sendall(step)
                    elif isinstance(step, threading.Event):
                        step.wait(20)
                    else:
                        self.closed.wait(step)
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                return  # the client has gone
