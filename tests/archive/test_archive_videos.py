"""What a source names, and what is wrong with a list."""

from datetime import UTC, datetime

import fsspec
import pytest

from fairmot_mm.archive.videos import find_videos


@pytest.fixture
def folder(tmp_path):
    for name in (
        *("door/20261127T080000Z.mp4", "door/2026-11-27_09-00-00.MKV", "top.avi"),
        *("yard/east/clip.mp4", "yard/.hidden.mp4", "yard/notes.md"),
    ):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"12345")
    return tmp_path


def test_a_folder(folder):
    videos, passed_over = find_videos(str(folder))
    assert {x.name: x.camera for x in videos} == {
        "door/2026-11-27_09-00-00.MKV": "door",
        "door/20261127T080000Z.mp4": "door",
        "top.avi": "top",
        "yard/east/clip.mp4": "yard",
    }
    assert passed_over == 2
    starts = {x.name: x.start for x in videos}
    assert starts["door/20261127T080000Z.mp4"] == datetime(2026, 11, 27, 8, tzinfo=UTC)
    assert starts["door/2026-11-27_09-00-00.MKV"].hour == 9
    assert starts["top.avi"] is None
    assert {x.size for x in videos} == {5}
    assert all(x.address.startswith(str(folder)) for x in videos)


def test_a_pattern_and_one_video(folder):
    videos, _ = find_videos(f"{folder}/*/*.mp4")
    assert [x.name for x in videos] == ["door/20261127T080000Z.mp4"]
    videos, _ = find_videos(f"{folder}/door/*")
    # Without a folder of its own, the name without its timestamp; and that is empty.
    assert {x.camera for x in videos} == {"camera"}
    ((video,), _) = find_videos(str(folder / "top.avi"))
    assert (video.name, video.address) == ("top.avi", str(folder / "top.avi"))


def test_lists(folder):
    text = folder / "list.txt"
    text.write_text("# two\ndoor/20261127T080000Z.mp4\n\nmissing.mp4\n")
    videos, _ = find_videos(str(text))
    assert [(x.name, x.size) for x in videos] == [
        *(("door/20261127T080000Z.mp4", 5), ("missing.mp4", None))
    ]
    assert videos[0].address == f"{folder}/door/20261127T080000Z.mp4"
    table = folder / "list.csv"
    table.write_text(
        "video,camera,start\ntop.avi,roof & more,2026-11-27T10:00:00+02:00\n"
        "yard/east/clip.mp4,,\n"
    )
    videos, _ = find_videos(str(table))
    assert [(x.camera, x.start) for x in videos] == [
        ("roof_more", datetime(2026, 11, 27, 8, tzinfo=UTC)),
        ("clip", None),
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name\na.mp4\n", r"list.csv:1: the columns are name; expected video"),
        ("", "list.csv:1: the columns are none"),
        ("video\na.mp4,b\n", "list.csv:2: expected video"),
        ("video,camera\n,door\n", "list.csv:2: expected video, camera"),
        ("video\na.mp4\na.mp4\n", "list.csv:3: a.mp4 is on line 2 already"),
        ("video,start\na.mp4,noon\n", "list.csv:2: start 'noon': expected 2026"),
        ("video,start\na.mp4,2026-11-27T08:00\n", "list.csv:2: .* has no time zone"),
    ],
)
def test_a_malformed_list(tmp_path, text, message):
    path = tmp_path / "list.csv"
    path.write_text(text)
    with pytest.raises(ValueError, match=message):
        find_videos(str(path))


def test_a_list_that_is_no_text(tmp_path):
    path = tmp_path / "list.txt"
    path.write_bytes(b"a.mp4\n\xff\xfe\n")
    with pytest.raises(ValueError, match=r"list.txt:2: not UTF-8"):
        find_videos(str(path))


def test_nothing_there(tmp_path):
    with pytest.raises(FileNotFoundError, match="no such folder, list or video"):
        find_videos(str(tmp_path / "gone"))
    with pytest.raises(FileNotFoundError, match="no video in it"):
        find_videos(str(tmp_path))
    with pytest.raises(ValueError, match=r"nonsense://a: Protocol not known"):
        find_videos("nonsense://a")


def test_an_address():
    files = fsspec.filesystem("memory")
    files.pipe_file("/recordings/door/a.mp4", b"1234")
    videos, _ = find_videos("memory://recordings")
    assert [(x.name, x.address, x.camera) for x in videos] == [
        ("door/a.mp4", "memory:///recordings/door/a.mp4", "door")
    ]
    files.rm("/recordings", recursive=True)
