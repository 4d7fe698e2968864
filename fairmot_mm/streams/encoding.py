"""A video file of frames, by PyAV."""

import contextlib
import errno
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np

# H.264 is what browsers play; PyAV built without it writes MPEG-4 part 2. No frame
# waits for later ones, so memory stays small and a kill loses little.
_CODEC = "libx264" if "libx264" in av.codecs_available else "mpeg4"
_OPTIONS = {"preset": "ultrafast", "tune": "zerolatency", "crf": "18"}
_QUALITY = 4 * 118  # of MPEG-4: quantizer 1 (best) to 31, in FFmpeg's unit


class Encoder:
    """A video file that is being written.

    Args:
        path: The file, .mp4, .mov, .mkv or .avi, replaced if it exists; its folder is
            created.
        shape: Height and width of the frames. The codec takes even sides only: of an
            odd one, the last row or column is repeated.
        frame_rate: Frames per second.
        time_base: Seconds of a tick.
        key_every: Frames from one that is whole to the next.
        options: Of FFmpeg's writer of such files.

    Raises:
        OSError: The file cannot be opened.
    """

    def __init__(
        self,
        path: Path,
        shape: tuple[int, ...],
        frame_rate: Fraction,
        time_base: Fraction,
        key_every: int,
        options: dict[str, str] | None = None,
    ) -> None:
        self.path = path
        self._time_base = time_base
        self._error: OSError | None = None
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._container: Any = av.open(str(path), "w", options=options or {})
        except av.FFmpegError as error:
            raise self._failed(error) from error
        options = _OPTIONS if _CODEC == "libx264" else {}
        stream: Any = self._container.add_stream(_CODEC, frame_rate, options)
        stream.height, stream.width = (x + x % 2 for x in shape[:2])
        stream.pix_fmt, stream.time_base = "yuv420p", time_base
        codec = stream.codec_context
        codec.time_base, codec.gop_size = time_base, key_every
        codec.thread_count = 1  # the other cores have a network to compute
        if _CODEC == "mpeg4":
            codec.qscale, codec.global_quality = True, _QUALITY
        self._stream = stream

    def write(self, image: np.ndarray, tick: int) -> None:
        """Append a frame.

        Args:
            image: (H, W, 3) BGR uint8.
            tick: When it is shown, later than the frame before.

        Raises:
            OSError: The file cannot be written, for example because the disk is full.
                So does every call after it.
        """
        if self._error is not None:
            raise self._error
        below, right = (side % 2 for side in image.shape[:2])
        if below or right:
            image = cv2.copyMakeBorder(image, 0, below, 0, right, cv2.BORDER_REPLICATE)
        # A quarter of the time that FFmpeg's conversion takes.
        planes = np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2YUV_I420), np.uint8)
        frame = av.VideoFrame.from_ndarray(planes, format="yuv420p")
        frame.pts, frame.time_base = tick, self._time_base
        self._encode(frame)

    def close(self) -> None:
        """Finish the file; after an error there is nothing to finish.

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

    def _encode(self, frame: av.VideoFrame | None) -> None:
        try:
            for packet in self._stream.encode(frame):
                self._container.mux(packet)
        except av.FFmpegError as error:
            # The end cannot be written either, but the file is to be let go.
            with contextlib.suppress(av.FFmpegError):
                self._container.close()
            self._container = None
            raise self._failed(error) from error

    def _failed(self, error: Any) -> OSError:  # noqa: ANN401  (untyped FFmpegError)
        code = error.errno if error.errno in errno.errorcode else errno.EIO
        self._error = OSError(code, error.strerror, str(self.path))
        return self._error
