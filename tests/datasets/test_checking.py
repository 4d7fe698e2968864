"""What check_dataset.py finds, kind by kind."""

import cv2
import numpy as np
import pytest

from fairmot_mm.datasets.checking import check_datasets
from fairmot_mm.formats.mot import MOTSequence, write_sequence_info
from fairmot_mm.formats.video_file import VideoFile

ROWS = [f"{f},{i},{10 * i},5,8,20,1,1,1" for f in range(1, 6) for i in (1, 2, 3)]


@pytest.fixture
def sequence(tmp_path):
    """A sound sequence of five frames with three people."""
    root = tmp_path / "SEQ"
    (root / "img1").mkdir(parents=True)
    (root / "gt").mkdir()
    rng = np.random.default_rng(0)
    for frame in range(1, 6):
        image = rng.integers(0, 255, (48, 64, 3), np.uint8)
        cv2.imwrite(str(root / f"img1/{frame:06d}.jpg"), image)
    (root / "gt/gt.txt").write_text("\n".join(ROWS) + "\n")
    write_sequence_info(MOTSequence(root, "SEQ", 5, 25, 64, 48))
    return root


def errors_of(root) -> list[str]:
    found, _ = check_datasets(dict(type="MOTFrameDataset", data_root=str(root)))
    return [f"{error.kind}: {error}".replace(str(root), "SEQ") for error in found]


def rewrite(root, row: int, line: str | None) -> None:
    rows = list(ROWS)
    rows[row - 1 : row] = [] if line is None else [line]
    (root / "gt/gt.txt").write_text("\n".join(rows) + "\n")


def test_nothing_wrong(sequence):
    found, sources = check_datasets(
        dict(type="MOTFrameDataset", data_root=str(sequence))
    )
    assert found == []
    assert len(sources) == 1


@pytest.mark.parametrize(
    ("row", "line", "expected"),
    [
        (4, "2,1,10,5,8,0,1,1,1", "degenerate box: SEQ/gt/gt.txt:4: considered box of"),
        (4, "2,1,ten,5,8,20,1,1,1", "malformed line: SEQ/gt/gt.txt:4: not numeric"),
        (4, "2,1,70,5,8,20,1,1,1", "box outside the image: SEQ/gt/gt.txt:4: box (70"),
        (4, "2,1,-9,5,8,20,1,1,1", "box outside the image: SEQ/gt/gt.txt:4: box (-9"),
        (5, "2,1,40,5,8,20,1,1,1", "identity twice: SEQ/gt/gt.txt:5: id 1 is twice in"),
        (
            5,
            "2,2,10,5,8,20,1,1,1",
            "duplicate box: SEQ/gt/gt.txt:5: the same box is th",
        ),
        (
            5,
            None,
            "gap: SEQ/gt/gt.txt:7: its identity was away for 1 frame",
        ),
        (
            5,
            "9,2,20,5,8,20,1,1,1",
            "frame outside the sequence: SEQ/gt/gt.txt:5: frame",
        ),
        (5, "2,2,20,5,8,20,1,99,1", "unknown class: SEQ/gt/gt.txt:5: unknown class 99"),
    ],
)
def test_errors_in_lines(sequence, row, line, expected):
    rewrite(sequence, row, line)
    found = errors_of(sequence)
    assert any(error.startswith(expected) for error in found), found
    # A row that is dropped leaves a gap behind, and nothing else.
    assert all(error.startswith((expected, "gap")) for error in found), found


def test_boxes_given_in_shares_are_named_in_pixels(sequence):
    (sequence / "img1").rename(sequence / "images")
    (sequence / "labels_with_ids").mkdir()
    # An image of 64 x 48: the box is 16 x 24 about (80, 12), the sound one about the
    # image's middle.
    boxes = "0 1 1.25 0.25 0.25 0.5\n0 2 0.5 0.5 0.25 0.5\n"
    (sequence / "labels_with_ids/000001.txt").write_text(boxes)
    (sequence / "list.train").write_text("images/000001.jpg\n")
    found, _ = check_datasets(
        dict(type="JDEFrameDataset", data_root=str(sequence), ann_file="list.train")
    )
    text = "box (72, 0, 88, 24) is outside the image of 64 x 48 pixels"
    assert [(error.line, error.text) for error in found] == [(1, text)]


def test_errors_in_images(sequence):
    images = sequence / "img1"
    content = (images / "000001.jpg").read_bytes()
    (images / "000001.jpg").write_bytes(content[: len(content) // 2])
    (images / "000002.jpg").unlink()
    cv2.imwrite(str(images / "000003.jpg"), np.zeros((40, 64, 3), np.uint8))
    (images / "000006.jpg").write_bytes(content)
    found = errors_of(sequence)
    starts = (
        "broken image: SEQ/img1/000001.jpg: cannot be decoded",
        "missing image: SEQ/img1/000002.jpg: missing",
        "size mismatch: SEQ/seqinfo.ini:7: 64 x 48 pixels, but SEQ/img1/000003.jpg has "
        "64 x 40",
        "size mismatch: SEQ/seqinfo.ini:5: seqLength is 5, but img1 has 1 images more",
    )
    for start in starts:
        assert sum(error.startswith(start) for error in found) == 1, (start, found)
    assert len(found) == len(starts) + sum(f.startswith("gap") for f in found)


def test_a_video_of_varying_rate_is_named(tmp_path, monkeypatch):
    path = tmp_path / "walk.mp4"
    codec = cv2.VideoWriter_fourcc(*"mp4v")
    writer = cv2.VideoWriter(str(path), codec, 10, (64, 48))
    for grey in (10, 90, 180):
        writer.write(np.full((48, 64, 3), grey, np.uint8))
    writer.release()
    (tmp_path / "walk.csv").write_text("frame,x,y,w,h\n1,5,5,9,20\n3,5,5,9,20\n")
    config = dict(
        type="FootageFrameDataset",
        data_root=str(tmp_path),
        ann_file="walk.csv",
        frames="walk.mp4",
    )
    assert check_datasets(config)[0] == []
    gaps = property(lambda self: np.array([16.7, 50.0]))
    monkeypatch.setattr(VideoFile, "frame_gaps", gaps)
    (found,) = check_datasets(config)[0]
    assert (found.kind, found.path) == ("varying frame rate", str(path))
    assert "its frames are 17 to 50 ms apart" in found.text
    assert f"ffmpeg -i {path} -fps_mode cfr" in found.text


def test_all_errors_are_listed_at_once(sequence):
    rows = list(ROWS)
    rows[0] = "1,1,ten,5,8,20,1,1,1"
    rows[4] = "2,2,20,5,0,20,1,1,1"
    rows[14] = "5,3,30,5"
    (sequence / "gt/gt.txt").write_text("\n".join(rows))
    kinds = [error.split(":")[0] for error in errors_of(sequence)]
    assert sorted(kinds) == [
        "degenerate box",
        "gap",
        "malformed line",
        "malformed line",
    ]


def test_sources_of_a_mixture_are_checked_one_by_one(sequence, tmp_path):
    rewrite(sequence, 5, "2,2,20,5,0,20,1,1,1")
    mot = dict(type="MOTFrameDataset", data_root=str(sequence))
    missing = dict(type="JDEFrameDataset", data_root=str(tmp_path), ann_file="no.train")
    mixture = dict(
        type="RepeatDataset",
        times=2,
        dataset=dict(type="JointDataset", datasets=[mot, missing]),
    )
    found, sources = check_datasets(mixture)
    assert [error.kind for error in found] == [
        "degenerate box",
        "gap",
        "unreadable data set",
    ]
    assert len(sources) == 1
    with pytest.raises(TypeError, match=r"MOTVideoDataset is no source"):
        check_datasets(dict(type="MOTVideoDataset", data_root=str(sequence)))
