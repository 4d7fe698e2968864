import os
from pathlib import Path


def write_file(path: Path, data: bytes | memoryview, durable: bool = False) -> None:
    """Write a file that is either whole or not there, and create its folder.

    It is written under a temporary name and renamed.

    Args:
        path: The file.
        data: Its content.
        durable: Wait until it is on the disk, so that it outlives a power cut.

    Raises:
        OSError: It cannot be written, for example because the disk is full; names the
            file. A former file of this name stays.
    """
    partial = path.with_name(f".{path.name}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with partial.open("wb") as file:
            file.write(data)
            if durable:
                file.flush()
                os.fsync(file.fileno())
        partial.replace(path)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise OSError(error.errno, error.strerror, str(path)) from error
