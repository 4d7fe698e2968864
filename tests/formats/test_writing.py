import pytest

from fairmot_mm.formats.writing import write_file


def test_a_file_is_whole_or_not_there(tmp_path, full_disk):
    path = tmp_path / "new" / "file.txt"
    with full_disk(1000), pytest.raises(OSError, match=r"file\.txt"):
        write_file(path, b"x" * 2000)
    assert list(path.parent.iterdir()) == []

    write_file(path, b"before")
    with full_disk(1000), pytest.raises(OSError, match=r"file\.txt"):
        write_file(path, b"x" * 2000)
    assert path.read_bytes() == b"before"
    write_file(path, b"after")
    assert [p.name for p in path.parent.iterdir()] == ["file.txt"]
    assert path.read_bytes() == b"after"


def test_a_file_that_does_not_reach_the_disk_does_not_appear(tmp_path, monkeypatch):
    path = tmp_path / "epoch_1.pth"
    write_file(path, b"before", durable=True)

    def fail(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", fail)
    with pytest.raises(OSError, match=r"No space left .*epoch_1\.pth"):
        write_file(path, b"after", durable=True)
    assert path.read_bytes() == b"before"
    assert [p.name for p in tmp_path.iterdir()] == ["epoch_1.pth"]
