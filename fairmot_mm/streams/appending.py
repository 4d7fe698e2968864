import contextlib
from pathlib import Path


class FrameFile:
    """A file to which whole frames are appended; whatever stands there is replaced.

    Each frame is one unbuffered write, so the file is whole whenever the process ends,
    and can be read while it grows. (Linux may cut a write longer than a memory page
    that a kill interrupts; then the last line has no line end.)

    Args:
        path: The file; its folder is created.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._file = self.path.open("wb", buffering=0)
        self._size = 0

    def append(self, text: str) -> None:
        """Append the lines of a frame.

        Raises:
            OSError: The file cannot be written, for example because the disk is full;
                it keeps the frames before.
        """
        rest = data = text.encode()
        try:
            while rest:
                rest = rest[self._file.write(rest) :]
        except OSError as error:
            with contextlib.suppress(OSError):
                self._file.seek(self._size)
                self._file.truncate()
            raise OSError(error.errno, error.strerror, str(self.path)) from error
        self._size += len(data)

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def check_writable(path: Path) -> None:
    """Find out at once whether a file can be written; it is not changed.

    Args:
        path: The file; its folder is created.

    Raises:
        OSError: It cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    there = path.exists()
    with path.open("ab"):
        pass
    if not there:
        path.unlink()
