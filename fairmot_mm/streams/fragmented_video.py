import contextlib
import errno
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np

_TICKS = 1000  # per second; MPEG-4 takes up to 65535
_QUALITY = 4  # quantizer, 1 (best) to 31
_LAMBDA = 118  # FFmpeg's unit of it


class FragmentedVideoWriter:
    """Writes frames to an MP4 file that can be played whenever the process ends.

    The file is made of fragments of ``FRAMES`` frames, each with its own index; a kill
    loses the frames of the last one. Frames are shown at their own times, so a stream
    with gaps plays at its own speed. The first frame sets the size; of an odd side, the
    last row or column is repeated.

    Args:
        path: The file, replaced if it exists; its folder is created.
    """

    FRAMES = 30

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._container: Any = None
        self._stream: Any = None
        self._start, self._tick = 0.0, -1
        self._error: OSError | None = None

    def write(self, image: np.ndarray, time: float) -> None:
        """Append a frame.

        Args:
            image: (H, W, 3) BGR uint8, each of the same size.
            time: In seconds, from any origin. Earlier ones than the frame's before
                count as the next thousandth of a second.

        Raises:
            OSError: The file cannot be written, for example because the disk is full;
                the fragments before can be played. So does every write after it: a new
                file would replace this one.
        """
        if self._error is not None:
            raise self._error
        below, right = (side % 2 for side in image.shape[:2])
        if below or right:
            image = cv2.copyMakeBorder(image, 0, below, 0, right, cv2.BORDER_REPLICATE)
        if self._container is None:
            self._open(*image.shape[:2])
            self._start = time
        # A quarter of the time that FFmpeg's conversion takes.
        planes = np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2YUV_I420), np.uint8)
        frame = av.VideoFrame.from_ndarray(planes, format="yuv420p")
        self._tick = max(self._tick + 1, round((time - self._start) * _TICKS))
        frame.pts, frame.time_base = self._tick, Fraction(1, _TICKS)
        self._encode(frame)

    def close(self) -> None:
        """Finish the file.

        Raises:
            OSError: See :meth:`write`.
        """
        if self._container is None:
            return
        self._encode(None)
        container, self._container = self._container, None
        try:
            container.close()
        except av.FFmpegError as error:
            raise self._failed(error) from error

    def _open(self, height: int, width: int) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        flags = "frag_keyframe+empty_moov+default_base_moof"
        options = {"movflags": flags, "flush_packets": "1"}
        try:
            self._container = av.open(str(self.path), "w", "mp4", options)
        except av.FFmpegError as error:
            raise self._failed(error) from error
        self._stream = self._container.add_stream("mpeg4", rate=_TICKS)
        self._stream.width, self._stream.height = width, height
        self._stream.pix_fmt = "yuv420p"
        codec = self._stream.codec_context
        codec.time_base, codec.gop_size = Fraction(1, _TICKS), self.FRAMES
        codec.qscale, codec.global_quality = True, _QUALITY * _LAMBDA
        self._tick = -1

    def _encode(self, frame: Any) -> None:  # noqa: ANN401
        try:
            for packet in self._stream.encode(frame):
                self._container.mux(packet)
        except av.FFmpegError as error:
            # The end cannot be written either, but the file is to be let go.
            with contextlib.suppress(av.FFmpegError):
                self._container.close()
            self._container = None
            raise self._failed(error) from error

    def _failed(self, error: Any) -> OSError:  # noqa: ANN401
        code = error.errno if error.errno in errno.errorcode else errno.EIO
        self._error = OSError(code, error.strerror, str(self.path))
        return self._error
