from pathlib import Path

import pytest

from fairmot_mm.formats import tables
from fairmot_mm.formats.mot import (
    MOTSequence,
    evaluated_pedestrians,
    find_sequences,
    read_gt,
    read_sequence,
    split_range,
    write_sequence_info,
)

INI = """[Sequence]
name={name}
imDir=img1
frameRate=30
seqLength=8
imWidth=1920
imHeight=1080
imExt=.jpg
"""


def make_sequence(folder: Path, gt: str | None = None, ini: str | None = None) -> Path:
    (folder / "gt").mkdir(parents=True)
    text = INI.format(name=folder.name) if ini is None else ini
    (folder / "seqinfo.ini").write_bytes(text.encode())
    if gt is not None:
        (folder / "gt" / "gt.txt").write_bytes(gt.encode())
    return folder


def gt_of(folder: Path, gt: str):
    return read_gt(read_sequence(make_sequence(folder / "SEQ", gt)))


def test_sequence_is_what_the_ini_says(tmp_path):
    root = make_sequence(tmp_path / "MOT17-04-FRCNN")
    sequence = read_sequence(root)
    assert sequence == MOTSequence(root, "MOT17-04-FRCNN", 8, 30.0, 1920, 1080)
    assert sequence.image_path(7) == root / "img1" / "000007.jpg"
    assert sequence.gt_path == root / "gt" / "gt.txt"


def test_ini_may_have_bom_crlf_spaces_and_gaps(tmp_path):
    ini = (
        "\ufeff[Sequence]\r\nframeRate = 29.97\r\nseqLength = 5\r\n"
        "imWidth =640\r\nimHeight= 480\r\n"
    )
    root = make_sequence(tmp_path / "walk", ini=ini)
    assert read_sequence(root) == MOTSequence(root, "walk", 5, 29.97, 640, 480)


def test_sequence_info_survives_a_round_trip(tmp_path):
    written = MOTSequence(tmp_path, "walk", 7, 29.97, 64, 48, "frames", ".png")
    write_sequence_info(written)
    assert read_sequence(tmp_path) == written


def test_missing_ini_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"seqinfo\.ini: missing"):
        read_sequence(tmp_path)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "[Sequence]\n",
            "",
            r"seqinfo.ini:1: expected the section header \[Sequence\]",
        ),
        ("[Sequence]", "[Other]", r"seqinfo.ini: no section \[Sequence\]"),
        ("imDir=img1", "imDir", "seqinfo.ini:3: not understood, expected KEY=VALUE"),
        ("imDir=img1", "[imDir=img1", "seqinfo.ini:3: not understood, expected KEY"),
        ("imDir=img1", "name=x", "seqinfo.ini:3: .*expected it once"),
        ("seqLength=8\n", "", "key seqLength is missing, expected a positive whole"),
        ("seqLength=8", "seqLength=8.5", "key seqLength is '8.5', expected a positive"),
        ("frameRate=30", "frameRate=fast", "key frameRate is 'fast', expected a pos"),
        ("frameRate=30", "frameRate=inf", "key frameRate is 'inf', expected a pos"),
        ("imWidth=1920", "imWidth=0", "key imWidth is '0', expected a positive whole"),
    ],
)
def test_broken_ini_is_named(tmp_path, old, new, message):
    root = make_sequence(tmp_path / "SEQ", ini=INI.format(name="SEQ").replace(old, new))
    with pytest.raises(ValueError, match=message) as error:
        read_sequence(root)
    assert str(error.value).startswith(str(root / "seqinfo.ini"))


@pytest.mark.parametrize("name", ["../../escaped", "/escaped", "a/b", ".."])
def test_a_name_that_is_no_file_name_is_refused(tmp_path, name):
    folder = make_sequence(tmp_path / "SEQ", ini=INI.format(name=name))
    with pytest.raises(ValueError, match=r"seqinfo\.ini:2: name is "):
        read_sequence(folder)


def test_find_sequences(tmp_path):
    for name in ("MOT17-04-SDP", "MOT17-04-FRCNN", "MOT17-02-FRCNN"):
        make_sequence(tmp_path / name)
    (tmp_path / "notes").mkdir()
    (tmp_path / "readme.txt").touch()

    def names(*args, **kwargs):
        return [sequence.name for sequence in find_sequences(*args, **kwargs)]

    assert names(tmp_path) == ["MOT17-02-FRCNN", "MOT17-04-FRCNN", "MOT17-04-SDP"]
    assert names(tmp_path, detector="SDP") == ["MOT17-04-SDP"]
    assert names(tmp_path, ["MOT17-04-SDP", "MOT17-02-FRCNN"]) == [
        "MOT17-04-SDP",
        "MOT17-02-FRCNN",
    ]
    assert names(str(tmp_path / "MOT17-04-SDP")) == ["MOT17-04-SDP"]


def test_links_to_folders_of_one_name_are_two_sequences(tmp_path, monkeypatch):
    root = tmp_path / "train"
    root.mkdir()
    for name in ("A", "B"):
        ini = INI.replace("name={name}\n", "")
        (root / name).symlink_to(make_sequence(tmp_path / name / "seq", ini=ini))
    assert [sequence.name for sequence in find_sequences(root)] == ["A", "B"]
    assert [sequence.root for sequence in find_sequences(root, ["B"])] == [root / "B"]
    monkeypatch.chdir(tmp_path / "A/seq")
    assert [sequence.name for sequence in find_sequences(".")] == ["seq"]


def test_find_sequences_says_what_is_missing(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere: no such folder"):
        find_sequences(tmp_path / "nowhere")
    with pytest.raises(ValueError, match="no sequence found; expected folders that"):
        find_sequences(tmp_path)
    make_sequence(tmp_path / "A-SDP")
    with pytest.raises(ValueError, match="no sequence B, C; there is A-SDP"):
        find_sequences(tmp_path, ["A-SDP", "B", "C"])
    with pytest.raises(ValueError, match="no sequence whose name ends in -DPM"):
        find_sequences(tmp_path, detector="DPM")
    make_sequence(tmp_path / "copy", ini=INI.format(name="A-SDP"))
    with pytest.raises(ValueError, match="two sequences are named A-SDP"):
        find_sequences(tmp_path)


def test_gt_with_classes_is_sorted_and_marked(tmp_path):
    annotations = gt_of(
        tmp_path,
        "2,1,10.5,-20,30,40,1,1,0.25\n"
        "\n"
        "1,7,1,2,3,4,0,7,1\n"
        "1,3,1,2,3,4,1,3,1\n"
        "1,2,1,2,3,4,0,1,0\n",
    )
    assert annotations.frames.tolist() == [1, 1, 1, 2]
    assert annotations.ids.tolist() == [2, 3, 7, 1]
    assert annotations.boxes[3].tolist() == [10.5, -20, 30, 40]
    assert annotations.marks.tolist() == [0, 1, 0, 1]
    assert annotations.classes.tolist() == [1, 3, 7, 1]
    assert annotations.visibility.tolist() == [0, 1, 1, 0.25]
    assert annotations.lines.tolist() == [5, 4, 3, 1]
    assert not annotations.is_mot15
    assert evaluated_pedestrians(annotations).tolist() == [False, False, False, True]
    assert annotations.select(annotations.frames == 2).lines.tolist() == [1]


@pytest.mark.parametrize("tail", ["-1,-1,-1", "4.5,5.5,0"])
def test_mot15_has_no_classes(tmp_path, tail):
    annotations = gt_of(tmp_path, f"1,1,1,2,3,4,1,{tail}\n1,2,1,2,3,4,0,{tail}\n")
    assert annotations.is_mot15
    assert annotations.classes.tolist() == [-1, -1]
    assert annotations.visibility.tolist() == [1, 1]
    assert evaluated_pedestrians(annotations).tolist() == [True, False]


@pytest.mark.parametrize(
    ("tail", "classes"), [("1", [-1]), ("1,1", [1]), ("1,-1,-1", [-1])]
)
def test_gt_with_fewer_columns(tmp_path, tail, classes):
    annotations = gt_of(tmp_path, f"1,1,1,2,3,4,{tail}\r\n")
    assert annotations.classes.tolist() == classes
    assert annotations.visibility.tolist() == [1]


def test_comma_at_the_end_of_lines_is_tolerated(tmp_path):
    assert len(gt_of(tmp_path, "1,1,1,2,3,4,1,1,1,\n2,1,1,2,3,4,1,1,1,\n")) == 2


def test_boxes_outside_the_evaluation_may_be_odd(tmp_path):
    assert len(gt_of(tmp_path, "1,-1,1,2,0,-4,0,8,1\n")) == 1


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("1,2,3,4,5,six,1,1,1", "not numeric: '1,2,3,4,5,six,1,1,1'"),
        ("1,2,3,4,5,nan,1,1,1", "NaN or infinity"),
        ("1,2,3,inf,5,6,1,1,1", "NaN or infinity"),
        ("1,2,3,4,5,6", "6 columns, expected at least 7"),
        ("1 2 3 4 5 6 1 1 1", "1 columns, expected at least 7, separated by commas"),
        ("1,2,3,4,5,6,1,1", "8 columns, expected 9"),
        ("1.5,2,3,4,5,6,1,1,1", "frame 1.5, expected a whole number"),
        ("1,2.5,3,4,5,6,1,1,1", "id 2.5, expected a whole number"),
        ("1,1e300,3,4,5,6,1,1,1", "id 1e[+]300, expected a whole number"),
        ("1,2,3,4,5,6,1,1.5,1", "class 1.5, expected a whole number"),
        ("0,2,3,4,5,6,1,1,1", "frame 0, expected 1 or more"),
        ("9,2,3,4,5,6,1,1,1", "frame 9, expected at most 8, .*seqLength"),
        ("1,1,3,4,5,6,0,1,1", r"id 1 is twice in frame 1, .*\(first on line 1\)"),
        ("1,-1,3,4,5,6,1,1,1", "id -1 of a considered box, expected 0 or more"),
        ("1,2,3,4,0,6,1,1,1", "considered box of 0 x 6 pixels, expected width and"),
        ("1,2,3,4,5,-6,1,1,1", "considered box of 5 x -6 pixels"),
    ],
)
def test_broken_gt_line_is_named(tmp_path, line, message):
    gt = f"1,1,1,2,3,4,1,1,1\n\n2,1,1,2,3,4,1,1,1\n{line}\n3,1,1,2,3,4,1,1,1\n"
    path = tmp_path / "SEQ" / "gt" / "gt.txt"
    with pytest.raises(ValueError, match=message) as error:
        gt_of(tmp_path, gt)
    assert str(error.value).startswith(f"{path}:4: ")


def test_missing_or_empty_gt_is_named(tmp_path):
    root = make_sequence(tmp_path / "A")
    with pytest.raises(FileNotFoundError, match=r"gt\.txt: no ground truth"):
        read_gt(read_sequence(root))
    with pytest.raises(ValueError, match=r"gt\.txt: empty ground truth"):
        gt_of(tmp_path, "\n \n")


def test_sound_gt_is_not_parsed_line_by_line(tmp_path, monkeypatch):
    monkeypatch.delattr(tables, "parse_lines")
    assert len(gt_of(tmp_path, "1,1,1,2,3,4,1,1,0.5\n2,1,1,2,3,4,1,1,0.5\n")) == 2


@pytest.mark.parametrize(
    ("length", "half", "expected"),
    [
        (7, None, (1, 7)),
        (7, "first", (1, 3)),
        (7, "second", (4, 7)),
        (8, "first", (1, 4)),
        (8, "second", (5, 8)),
        (1, None, (1, 1)),
        (1, "second", (1, 1)),
    ],
)
def test_split_range(length, half, expected):
    assert split_range(MOTSequence("SEQ", "SEQ", length, 30, 8, 8), half) == expected


def test_impossible_halves():
    short = MOTSequence("FOLDER", "SEQ", 1, 30, 8, 8)
    with pytest.raises(ValueError, match=r"FOLDER: the first half .* of 1 is empty"):
        split_range(short, "first")
    with pytest.raises(ValueError, match="half='third': choose 'first', 'second' or"):
        split_range(short, "third")
