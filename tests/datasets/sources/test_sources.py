"""Each source on a tiny sample of its real format."""

import json
import logging
import re

import cv2
import numpy as np
import pytest
from annotated_samples import edit, rows_of, sample

from fairmot_mm.datasets import (
    BDD100KFrameDataset,
    COCOVideoFrameDataset,
    CrowdHumanFrameDataset,
    FootageFrameDataset,
    JDEFrameDataset,
    KITTIFrameDataset,
    MOTFrameDataset,
    VisDroneFrameDataset,
)

BDD = "0000f77c-6257be58"
UAV = ("uav0000013_00000_v", "uav0000072_04488_v")
IMAGES = {
    "MOT15": [f"TUD-Campus/img1/{i:06d}.jpg" for i in (1, 2, 3)],
    "MOT20": [f"MOT20-01/img1/{i:06d}.jpg" for i in (1, 2, 3)],
    "DanceTrack": [f"dancetrack0001/img1/{i:08d}.jpg" for i in (1, 2, 3)],
    "JDE": [f"PRW/images/c1s1_000{i}.jpg" for i in (151, 376, 401)],
    "CrowdHuman": [
        "Images/273271,c9db000d5146c15.jpg",
        "Images/273271,1a0d6000b9e1f5b7.jpg",
    ],
    "VisDrone": [f"sequences/{UAV[0]}/{i:07d}.jpg" for i in (1, 2, 3)]
    + [f"sequences/{UAV[1]}/0000001.jpg"],
    "BDD100K": [f"images/track/train/{BDD}/{BDD}-{i:07d}.jpg" for i in (1, 2, 3)],
    "KITTI": [f"image_02/0000/{i:06d}.png" for i in (0, 1, 2)],
    "COCO": ["A/img1/000001.jpg", "A/img1/000002.jpg", "B/img1/000001.jpg"],
    "footage": [f"img/{i}.png" for i in ("a", "b", "c")],
}
TWO_CLASSES = dict(classes=("pedestrian", "car"))
BUILD = {
    "MOT15": lambda root, **kw: MOTFrameDataset(str(root), **kw),
    "MOT20": lambda root, **kw: MOTFrameDataset(str(root), **kw),
    "DanceTrack": lambda root, **kw: MOTFrameDataset(str(root), **kw),
    "JDE": lambda root, **kw: JDEFrameDataset("lists/prw.train", str(root), **kw),
    "CrowdHuman": lambda root, **kw: CrowdHumanFrameDataset(
        "annotation_train.odgt", str(root), **kw
    ),
    "VisDrone": lambda root, **kw: VisDroneFrameDataset(str(root), **kw),
    "BDD100K": lambda root, **kw: BDD100KFrameDataset(str(root), **kw),
    "KITTI": lambda root, **kw: KITTIFrameDataset(str(root), **kw),
    "COCO": lambda root, **kw: COCOVideoFrameDataset(
        "train_cocoformat.json", str(root), **kw
    ),
    "footage": lambda root, **kw: FootageFrameDataset(
        **{"ann_file": "walk.csv", "frames": "img", "data_root": str(root)} | kw
    ),
}


@pytest.fixture
def make(tmp_path):
    """A sample's folder, and what reads it."""

    def copy(name: str):
        root = sample(name, tmp_path, IMAGES[name])
        return root, lambda **kwargs: BUILD[name](root, **kwargs)

    return copy


def all_rows(dataset) -> list[list[tuple]]:
    return [rows_of(dataset, i) for i in range(len(dataset))]


def row(x1, y1, x2, y2, label, identity, ignored=False) -> tuple:
    return [x1, y1, x2, y2], label, identity, ignored


@pytest.mark.parametrize("name", BUILD)
def test_records_are_of_one_kind(make, name):
    root, build = make(name)
    dataset = build()
    paths = [dataset.get_data_info(i)["img_path"] for i in range(len(dataset))]
    assert paths == [str(root / image) for image in IMAGES[name]]
    seen = set()
    for i in range(len(dataset)):
        info = dataset.get_data_info(i)
        assert info["gt_bboxes"].tensor.dtype.is_floating_point
        assert info["gt_instances_ids"].dtype == np.int64
        assert info["gt_bboxes_labels"].dtype == np.int64
        assert info["gt_ignore_flags"].dtype == bool
        assert info["source"] == dataset.name
        assert info["img_id"] == info["sample_idx"] == i
        ids = info["gt_instances_ids"]
        assert (ids[info["gt_ignore_flags"]] == -1).all()
        seen |= set(ids[ids >= 0].tolist())
    assert seen == set(range(dataset.num_ids))
    assert build(name="mine").get_data_info(0)["source"] == "mine"


def test_mot15(make):
    _, build = make("MOT15")
    assert all_rows(build()) == [
        [row(4, 5, 16, 35, 0, 0), row(30, 6, 40, 34, 0, 1)],
        [row(5, 5, 17, 35, 0, 0)],
        [row(33, 6, 43, 34, 0, 1)],
    ]


def test_mot20_boxes_are_cut_to_the_image_on_request(make):
    _, build = make("MOT20")
    whole, cut = build(), build(clip=True)
    assert all_rows(whole)[0] == [row(-6, 5, 14, 35, 0, 0), row(50, 20, 70, 60, 0, 1)]
    assert all_rows(cut) == [
        [row(0, 5, 14, 35, 0, 0), row(50, 20, 64, 48, 0, 1)],
        [row(0, 5, 16, 35, 0, 0), row(52, 20, 64, 48, 0, 1)],
        [],
    ]
    assert cut.left_out["outside the image"] == 1
    assert cut.left_out["marked 0"] + cut.left_out["of other classes"] == 2
    assert build(min_visibility=0.1).left_out["little visible"] == 2


def test_dancetrack_has_eight_digits_and_counts_from_zero(make):
    _, build = make("DanceTrack")
    assert [[r[2] for r in rows] for rows in all_rows(build())] == [[0, 1], [1], [0]]


def test_jde_list(make):
    root, build = make("JDE")
    dataset = build()
    assert all_rows(dataset) == [
        [row(12, 12, 20, 36, 0, 1), row(24, 6, 40, 42, 0, -1)],
        [],
        # Given at the left border, it reaches out of the image.
        [
            row(np.float32(-3.36).item(), 12, np.float32(4.64).item(), 36, 0, 0),
            row(44, 12, 52, 36, 0, 1),
        ],
    ]
    assert dataset.num_ids == 2
    assert dataset.annotation_file(2) == str(
        root / "PRW/labels_with_ids/c1s1_000401.txt"
    )
    assert dataset.records.lines.tolist() == [1, 2, 1, 3]


def test_jde_list_without_any_label_file(make):
    root, build = make("JDE")
    for path in (root / "PRW/labels_with_ids").iterdir():
        path.unlink()
    message = r"prw\.train: no label file of any image .*3 missing labels\)"
    with pytest.raises(ValueError, match=message):
        build(skip_faulty=True)


def test_jde_reads_the_size_as_the_image_is_loaded(make):
    """A camera held upright notes so in the file, and loading turns the image."""
    from PIL import Image

    root, build = make("JDE")
    path = root / IMAGES["JDE"][0]
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (64, 48)).save(path, exif=exif)
    info = build(pipeline=[dict(type="CheckedLoadImageFromFile")])[0]
    assert info["img"].shape[:2] == (64, 48)
    assert info["gt_bboxes"].numpy()[0].tolist() == [9, 16, 15, 48]


def test_crowdhuman(make):
    _, build = make("CrowdHuman")
    boxes = [
        [row(7, 8, 23, 38, 0, 0), row(-5, 10, 15, 70, 0, 1)],
        [row(1, 2, 11, 22, 0, -1, True), row(30, 2, 40, 22, 0, 2)],
    ]
    boxes[0].append(row(40, 20, 49, 40, 0, -1, True))
    dataset = build()
    assert all_rows(dataset) == boxes
    assert dataset.num_ids == 3
    detection = build(id_per_box=False)
    assert detection.num_ids == 0
    assert {r[2] for rows in all_rows(detection) for r in rows} == {-1}
    with pytest.raises(ValueError, match=r"unknown class 'car' .*from pedestrian$"):
        build(metainfo=TWO_CLASSES)


def test_crowdhuman_image_with_braces_in_its_name(make):
    root, build = make("CrowdHuman")
    path = root / "annotation_train.odgt"
    line = json.dumps(dict(ID="a{b}{0}", gtboxes=[]))
    path.write_text(f"{line}\n{line}\n")
    message = re.escape("odgt:2: image a{b}{0} again (first on line 1)")
    with pytest.raises(ValueError, match=message):
        build()


def test_visdrone(make):
    _, build = make("VisDrone")
    dataset = build()
    regions = row(50, 0, 64, 10, 0, -1, True)
    # Pedestrian 0, car 3, motor 9; "others" are left out.
    assert all_rows(dataset) == [
        [row(5, 6, 13, 22, 0, 0), row(20, 20, 44, 32, 3, 1), regions],
        [row(6, 6, 14, 22, 0, 0), regions, row(30, 8, 36, 18, 1, -1, True)],
        [row(24, 20, 48, 32, 3, 1), row(10, 10, 19, 19, 9, 2)],
        [row(5, 6, 13, 22, 0, 3), row(20, 20, 44, 32, 3, 4)],
    ]
    assert dataset.num_ids == 5
    assert dataset.num_ids_per_class == [2, 0, 0, 2, 0, 0, 0, 0, 0, 1]
    assert dataset.left_out["of other classes"] == 1
    cars = build(metainfo=dict(classes=("car", "others")))
    assert cars.num_ids_per_class == [2, 1]


def test_identities_counted_within_their_class(make):
    _, build = make("VisDrone")
    dataset = build(per_class_ids=True)
    found = [
        (label, identity)
        for rows in all_rows(dataset)
        for _, label, identity, _ in rows
        if identity >= 0
    ]
    assert found == [(0, 0), (3, 0), (0, 0), (3, 0), (9, 0), (0, 1), (3, 1)]
    assert dataset.num_ids_per_class == [2, 0, 0, 2, 0, 0, 0, 0, 0, 1]
    assert dataset.num_ids == 5


def test_bdd100k(make):
    _, build = make("BDD100K")
    dataset = build()
    # The file's frames come in another order; pedestrian 0, car 2.
    assert all_rows(dataset) == [
        [
            row(10.5, 10, 30.5, 22, 2, 0),
            row(40, 5, 60, 40, 0, -1, True),
            row(33, 5, 39, 25, 0, 1),
        ],
        [row(11.5, 10, 30.5, 22, 2, 0)],
        [],
    ]
    assert dataset.left_out["of other classes"] == 1


def test_kitti(make):
    _, build = make("KITTI")
    dataset = build()
    first, *_ = all_rows(dataset)
    assert [(r[1], r[2], r[3]) for r in first] == [
        (0, -1, True),
        (0, -1, True),
        (1, 0, False),
    ]
    assert first[2][0] == pytest.approx([50.422283, 17.06321, 58.12325, 40.06321])
    assert all_rows(dataset)[1] == []
    assert all_rows(dataset)[2][1] == row(4.5, 20, 30.5, 33, 0, 1)
    assert dataset.left_out["of other classes"] == 2
    every = build(metainfo=dict(classes=("Car", "Van", "Pedestrian", "Cyclist")))
    assert every.num_ids_per_class == [1, 1, 1, 1]


def test_coco_video(make):
    _, build = make("COCO")
    assert all_rows(build()) == [
        [row(4, 5, 16, 35, 0, 0), row(30, 6, 40, 34, 0, -1, True)],
        [row(5, 5, 17, 35, 0, 0)],
        # The same instance_id in another video is somebody else.
        [row(-3, 5, 9, 35, 0, 1), row(40, 5, 52, 35, 0, -1)],
    ]
    both = build(metainfo=TWO_CLASSES, min_visibility=0.5)
    assert all_rows(both)[1] == [row(5, 5, 17, 35, 1, 1)]
    assert both.left_out == {"marked 0": 1, "little visible": 1}


def test_coco_video_with_identities_by_either_name(make):
    root, build = make("COCO")
    path = root / "train_cocoformat.json"
    expected = all_rows(build())
    content = json.loads(path.read_text())
    for annotation in content["annotations"]:
        # Where both are there, instance_id counts.
        annotation["track_id"] = 99
    path.write_text(json.dumps(content))
    assert sum(a.get("instance_id") is None for a in content["annotations"]) == 1
    expected[2][1] = row(40, 5, 52, 35, 0, 2)  # the one without instance_id
    assert all_rows(build()) == expected
    for annotation in content["annotations"]:
        if "instance_id" in annotation:
            annotation["track_id"] = annotation.pop("instance_id")
    path.write_text(json.dumps(content))
    assert all_rows(build()) == expected


def test_footage_from_csv_and_from_mot_text(make):
    _, build = make("footage")
    one = [
        [row(5, 6, 15, 26, 0, 0), row(30, 6, 40, 26, 0, -1)],
        [],
        [row(6.5, 6, 16.5, 26, 0, 0)],
    ]
    named = build()
    assert all_rows(named) == one
    assert named.left_out == {"of other classes": 1}
    assert all_rows(build(ann_file="walk.txt")) == one
    both = build(metainfo=TWO_CLASSES)
    assert all_rows(both)[2][1] == row(20, 6, 50, 26, 1, 1)
    marked = build(annotated_only=True)
    assert [rows_of(marked, i) for i in (0, 1)] == [all_rows(named)[i] for i in (0, 2)]


def test_shares_of_footage_have_their_own_identities(make):
    root, build = make("footage")
    (root / "walk.csv").write_text(
        "frame,id,x,y,w,h\n1,7,5,6,10,20\n2,7,5,6,10,20\n3,9,6.5,6,10,20\n"
    )
    first, last = build(share=(0, 0.6)), build(share=(0.6, 1))
    assert [all_rows(dataset) for dataset in (first, last)] == [
        [[row(5, 6, 15, 26, 0, 0)]] * 2,
        [[row(6.5, 6, 16.5, 26, 0, 0)]],
    ]
    assert first.num_ids == last.num_ids == 1
    assert last.left_out == {"in another share": 2}
    assert last.get_data_info(0)["img_path"].endswith("c.png")
    with pytest.raises(ValueError, match=r"img: share=\(0.9, 1\) of 3 frames"):
        build(share=(0.9, 1))


def test_footage_of_numbered_images_goes_by_their_numbers(make):
    root, build = make("footage")
    for number, name in ((1, "a"), (3, "b"), (10, "c")):
        (root / f"img/{name}.png").rename(root / f"img/{number}.png")
    dataset = build()
    names = [dataset.get_data_info(i)["img_path"][-6:] for i in range(3)]
    assert names == ["/1.png", "/3.png", "10.png"]
    assert [len(rows) for rows in all_rows(dataset)] == [2, 1, 0]


def test_images_are_in_the_order_of_the_numbers_in_their_names(make):
    root, build = make("footage")
    for name, new in (("a", "img2"), ("b", "img10"), ("c", "img1")):
        (root / f"img/{name}.png").rename(root / f"img/{new}.png")
    dataset = build()
    names = [dataset.get_data_info(i)["img_path"][-9:] for i in range(3)]
    assert names == ["/img1.png", "/img2.png", "img10.png"]
    # Counted from 1: the file has boxes on frames 1 and 3.
    assert [len(rows) for rows in all_rows(dataset)] == [2, 0, 1]


def test_hidden_files_are_no_images_and_no_annotations(make):
    root, build = make("VisDrone")
    (root / "sequences" / UAV[0] / "._0000001.jpg").touch()
    (root / "annotations" / f"._{UAV[0]}.txt").write_bytes(b"\0\5\26\7")
    assert len(build()) == len(IMAGES["VisDrone"])


@pytest.mark.parametrize("name", ["KITTI", "VisDrone", "footage"])
def test_a_folder_of_which_some_images_are_numbered_is_refused(make, name):
    root, build = make(name)
    image = root / IMAGES[name][1]
    odd = "000007" if name == "footage" else "cover"
    image.rename(image.with_stem(odd))
    with pytest.raises(ValueError, match=rf"{odd}\.(jpg|png).*rename the odd") as error:
        build()
    assert str(image.parent) in str(error.value)


def test_footage_from_a_video_shows_the_annotated_frames(tmp_path, make):
    root, build = make("footage")
    writer = cv2.VideoWriter(
        str(root / "walk.mp4"), cv2.VideoWriter_fourcc(*"mp4v"), 10, (64, 48)
    )
    for i in range(40):
        writer.write(np.full((48, 64, 3), 6 * i, np.uint8))
    writer.release()
    steps = [dict(type="CheckedLoadImageFromFile")]
    dataset = build(frames="walk.mp4", pipeline=steps)
    assert len(dataset) == 40
    assert [len(rows_of(dataset, i)) for i in range(4)] == [2, 0, 1, 0]
    for i in (0, 2, 39, 5, 4, 38, 6):
        results = dataset[i]
        assert results["frame_index"] == i
        assert results["img_shape"] == results["img"].shape[:2] == (48, 64)
        assert abs(results["img"].astype(int) - 6 * i).max() <= 5
    assert dataset.records.sizes.tolist() == [[64, 48]] * 40
    last = build(frames="walk.mp4", share=(0.05, 1))
    assert last.get_data_info(0)["frame_index"] == 2
    assert rows_of(last, 0) == rows_of(dataset, 2)


def test_a_list_from_windows_is_read_like_the_others(make):
    root, build = make("JDE")
    expected = all_rows(build())
    path = root / "lists/prw.train"
    path.write_bytes(path.read_bytes().replace(b"/", b"\\").replace(b"\n", b"\r\n"))
    dataset = build()
    assert all_rows(dataset) == expected
    assert dataset.get_data_info(0)["img_path"] == str(root / IMAGES["JDE"][0])


ANNOTATION_ERRORS = {
    "MOT15": [
        ("TUD-Campus/gt/gt.txt", "2,1,5,5,12", "2,1,5,5,0", r"gt.txt:3: .*box of 0 x"),
        ("TUD-Campus/gt/gt.txt", "2,1,5", "2,one,5", r"gt.txt:3: not numeric"),
    ],
    "JDE": [
        ("PRW/labels_with_ids/c1s1_000151.txt", "0 -1 0.5", "0 -1", "151.txt:2: 5 col"),
        (
            "PRW/labels_with_ids/c1s1_000151.txt",
            "0 -1",
            "0 x",
            "151.txt:2: not numeric",
        ),
        (
            "PRW/labels_with_ids/c1s1_000151.txt",
            "0 -1",
            "1 -1",
            "151.txt:2: unknown class 1",
        ),
        ("PRW/labels_with_ids/c1s1_000151.txt", "-1", "-2", "151.txt:2: identity -2"),
        ("PRW/labels_with_ids/c1s1_000151.txt", "0.25", "250", "151.txt:1: .*shares"),
        (
            "PRW/labels_with_ids/c1s1_000151.txt",
            "-1 0.500000",
            "-1 nan",
            "151.txt:2: box with the corners nan",
        ),
        (
            *("PRW/labels_with_ids/c1s1_000401.txt", "0.125000 0.5", "0.125000 0.0"),
            r"401.txt:1: box of 0.125 x 0",
        ),
        (
            *("PRW/labels_with_ids/c1s1_000401.txt", "0 3", "0 479"),
            r"401.txt:3: id 479 is twice in .*401.jpg, .*first on line 1",
        ),
        (
            *("lists/prw.train", "PRW/images/c1s1_000376", "PRW/pictures/c1"),
            r"prw.train:2: PRW/pictures/c1.jpg: no folder images",
        ),
        (
            *("lists/prw.train", "PRW/images/c1s1_000376", "PRW/images/c9"),
            r"prw.train:2: .*labels_with_ids/c9.txt: No such file",
        ),
        (
            *("lists/prw.train", "c1s1_000401", "c1s1_000151"),
            r"prw.train:4: PRW/images/c1s1_000151.jpg is listed again, .*line 1",
        ),
        (
            *("lists/prw.train", "images/c1s1_000401", r"images\\/c1s1_000151"),
            r"prw.train:4: PRW/images/c1s1_000151.jpg is listed again, .*line 1",
        ),
    ],
    "CrowdHuman": [
        ("annotation_train.odgt", '"ID"', '"ID', "odgt:1: no JSON at column"),
        ("annotation_train.odgt", '"gtboxes"', '"boxes"', "odgt:1: expected an obj"),
        (
            "annotation_train.odgt",
            "[30, 2, 10, 20]",
            "[3]",
            "odgt:2: box .* four num",
        ),
        (
            "annotation_train.odgt",
            "[30, 2, 10, 20]",
            "[30, 2, 10, -1]",
            "odgt:2: box of 10 x -1",
        ),
        (
            "annotation_train.odgt",
            "1a0d6000b9e1f5b7",
            "c9db000d5146c15",
            "odgt:2: image",
        ),
    ],
    "VisDrone": [
        (
            f"annotations/{UAV[0]}.txt",
            "2,0,6,6,8,16",
            "2,0,6,6,0,16",
            "v.txt:2: box of 0",
        ),
        (
            f"annotations/{UAV[0]}.txt",
            "12,1,4,0,0",
            "12,1,12,0,0",
            "v.txt:3: unknown class 12,",
        ),
        (f"annotations/{UAV[0]}.txt", "3,4,10", "4,4,10", "v.txt:9: frame 4 has no im"),
        (
            f"annotations/{UAV[0]}.txt",
            "2,0,6",
            "1,0,6",
            "v.txt:2: id 0 is twice in .*0001.jpg, .*line 1",
        ),
    ],
    "BDD100K": [
        (
            f"labels/box_track_20/train/{BDD}.json",
            '"x1": 33, "',
            '"',
            "json: .*expected id",
        ),
        (
            f"labels/box_track_20/train/{BDD}.json",
            '"x2": 39',
            '"x2": 33',
            "id 00091079: b",
        ),
        (
            f"labels/box_track_20/train/{BDD}.json",
            '"car"',
            '"cat"',
            "unknown class 'cat'",
        ),
        (
            f"labels/box_track_20/train/{BDD}.json",
            "91079",
            "91078",
            "id 00091078 is twice",
        ),
        (f"labels/box_track_20/train/{BDD}.json", '"y2": 9}', "}", r"json:13: no JSON"),
    ],
    "KITTI": [
        ("label_02/0000.txt", "Cyclist", "Cat", "0000.txt:4: unknown class 'Cat'"),
        (
            "label_02/0000.txt",
            "2 3 Car 0 0 -1.6 4.5 20 30.5 33",
            "2 3 Car 0 0 -1.6 4.5",
            "0000.txt:7: .*expected",
        ),
        (
            "label_02/0000.txt",
            "2 3 Car 0 0 -1.6 4.5",
            "2 3 Car 0 0 -1.6 40",
            ":7: box of -9.5 x",
        ),
        (
            "label_02/0000.txt",
            "2 3 Car",
            "2 2 Car",
            "0000.txt:7: id 2 is twice in .*02.png",
        ),
        ("label_02/0000.txt", "2 3 Car", "3 3 Car", "0000.txt:7: frame 3 has no image"),
        (
            "label_02/0000.txt",
            "2 3 Car",
            "2.5 3 Car",
            ":7: frame 2.5 has no image",
        ),
    ],
    "COCO": [
        (
            "train_cocoformat.json",
            '"bbox": [-3, 5',
            '"bbox": [5',
            "json: annotation 6: e",
        ),
        (
            "train_cocoformat.json",
            "[-3, 5, 12, 30]",
            "[-3, 5, 0, 3]",
            "annotation 6: box",
        ),
        (
            "train_cocoformat.json",
            '"image_id": 3',
            '"image_id": 9',
            "6: no image with id 9",
        ),
        ("train_cocoformat.json", '"images"', '"pictures"', "json: no list images"),
        (
            "train_cocoformat.json",
            '"id": 3, "video_id": 2',
            '"id": 1, "video_id": 2',
            "json: image id 1 is twice",
        ),
        (
            "train_cocoformat.json",
            "[-3, 5, 12, 30],",
            "[-3, 5, 12, 30",
            r"json:13: no JS",
        ),
        (
            "train_cocoformat.json",
            '"category_id": 2',
            '"category_id": 2.5',
            r"unknown class 2\.5",
        ),
        (
            "train_cocoformat.json",
            '"name": "pedestrian"',
            '"name": "p"',
            "unknown class 'ped",
        ),
    ],
    "footage": [
        (
            "walk.csv",
            "3,4,6.5",
            "3,4,wide",
            "walk.csv:4: x is 'wide', expected a number",
        ),
        ("walk.csv", "3,4,6.5,6,10", "3,4,6.5,6,0", "walk.csv:4: box of 0 x 20"),
        ("walk.csv", "3,4,6.5,", "3,4,", "walk.csv:4: 6 columns, expected 7"),
        ("walk.csv", "3,4,", "4,4,", "walk.csv:4: frame 4 has no image in .*1 to 3"),
        ("walk.csv", "1,,", "1,4,", "walk.csv:3: id 4 is twice in .*a.png, .*line 2"),
        ("walk.csv", "frame,", "time,", "walk.csv:1: .*missing or twice frame; known"),
        ("walk.csv", "frame,id", "frame,i'd", "walk.csv:1: .*missing or twice id; kno"),
        ("walk.csv", "3,4,", '3,4",', "walk.csv:4: a quotation mark within a cell"),
        ("walk.csv", "frame,", "image,", "walk.csv:2: no image '1' in"),
    ],
}


@pytest.mark.parametrize(
    ("name", "case"),
    [
        pytest.param(name, case, id=f"{name}-{i}")
        for name, cases in ANNOTATION_ERRORS.items()
        for i, case in enumerate(cases)
    ],
)
def test_what_is_wrong_is_named_with_file_and_line(make, name, case):
    root, build = make(name)
    file, old, new, message = case
    edit(root / file, old, new)
    with pytest.raises(ValueError, match=message) as error:
        build()
    assert str(root) in str(error.value)


@pytest.mark.parametrize("name", BUILD)
def test_missing_image_is_named(make, name):
    root, build = make(name)
    (root / IMAGES[name][0]).unlink()
    # A frame of a sequence may be found out by its annotations first.
    with pytest.raises((FileNotFoundError, ValueError), match=r"missing|no image"):
        build()


@pytest.mark.parametrize("name", ["JDE", "CrowdHuman", "COCO", "footage"])
def test_missing_annotations_are_named(make, name):
    root, build = make(name)
    files = [p for p in root.iterdir() if p.suffix in (".odgt", ".json", ".csv")]
    for path in files or [root / "lists/prw.train"]:
        path.unlink()
    with pytest.raises(FileNotFoundError, match=re.escape(str(root))):
        build()


@pytest.mark.parametrize("name", ["VisDrone", "BDD100K", "KITTI"])
def test_a_folder_without_annotations_is_named(tmp_path, name):
    with pytest.raises(FileNotFoundError, match=r"no annotation file .*data_root"):
        BUILD[name](tmp_path)


def test_annotation_errors_may_be_left_out_and_counted(make, caplog):
    root, build = make("JDE")
    labels = root / "PRW/labels_with_ids"
    edit(labels / "c1s1_000151.txt", "0 -1", "0 x")
    edit(labels / "c1s1_000401.txt", "0 3 0.01", "0 3 0.01 0.01")
    (root / IMAGES["JDE"][1]).unlink()
    with pytest.raises(ValueError, match=r"not numeric"):
        build()
    dataset = build(skip_faulty=True)
    assert all_rows(dataset) == [
        [row(12, 12, 20, 36, 0, 0)],
        [row(44, 12, 52, 36, 0, 0)],
    ]


def test_annotation_errors_that_leave_nothing_are_counted(make):
    root, build = make("KITTI")
    path = root / "label_02/0000.txt"
    path.write_text("0 1 Cat 0 0 0 1 2 3 4\n1 one Car 0 0 0 1 2 3 4\n")
    first = (
        r"left out 2 annotation errors \(1 malformed line, 1 unknown class\), .*0000"
    )
    with pytest.raises(ValueError, match=rf"empty ground truth.*; {first}"):
        build(skip_faulty=True)
    (root / "image_02/0000/00.png").touch()
    with pytest.raises(
        ValueError, match=r"no annotated sequence; left out 1 annotation errors .*00"
    ):
        build(skip_faulty=True)


def test_a_class_without_a_single_box_is_named(make, monkeypatch):
    said = []

    def listen(message, logger=None, level=logging.INFO):
        if level == logging.WARNING:
            said.append(message)

    monkeypatch.setattr("fairmot_mm.datasets.frame_dataset.print_log", listen)
    _, build = make("VisDrone")
    build(metainfo=dict(classes=("pedestrian", "car", "motor")), name="uav")
    assert said == []
    # All there is of people is to be ignored.
    classes = ("bus", "pedestrian", "people")
    dataset = build(metainfo=dict(classes=classes), name="uav")
    assert len(said) == 1
    assert said[0].startswith("uav: not a single box of bus, people: check metainfo")
    assert dataset.num_ids_per_class == [0, 2, 0]


def test_unknown_class_asked_for(make):
    _, build = make("KITTI")
    with pytest.raises(
        ValueError, match=r"unknown class 'Cat' in metainfo.*Pedestrian"
    ):
        build(metainfo=dict(classes=("Cat",)))
    _, build = make("footage")
    with pytest.raises(ValueError, match=r"give a sequence of different names"):
        build(metainfo=dict(classes="person"))


def test_no_box_left(make):
    _, build = make("BDD100K")
    with pytest.raises(ValueError, match=r"empty ground truth.*left out: 5 of other"):
        build(metainfo=dict(classes=("train",)))


def test_plain_coco_has_no_identities(make):
    root, build = make("COCO")
    content = json.loads((root / "train_cocoformat.json").read_text())
    del content["videos"]
    for image in content["images"]:
        del image["video_id"], image["frame_id"]
    for annotation in content["annotations"]:
        annotation.pop("instance_id", None)
    (root / "train_cocoformat.json").write_text(json.dumps(content))
    dataset = build()
    assert dataset.num_ids == 0
    assert {r[2] for rows in all_rows(dataset) for r in rows} == {-1}
