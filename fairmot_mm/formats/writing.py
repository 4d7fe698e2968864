from pathlib import Path


def write_file(path: Path, data: bytes) -> None:
    """Write a file that is either whole or not there, and create its folder.

    It is written under a temporary name and renamed.

    Raises:
        OSError: It cannot be written, for example because the disk is full; names the
            file. A former file of this name stays.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial")
    try:
        partial.write_bytes(data)
        partial.replace(path)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise OSError(error.errno, error.strerror, str(path)) from error
