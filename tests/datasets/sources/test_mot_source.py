import csv
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from annotated_samples import INPUT, MOT17, make_mot_sequence, pipeline_of
from mmdet.structures import DetDataSample
from mmdet.structures.bbox import HorizontalBoxes

from fairmot_mm.datasets import MOTFrameDataset, MOTVideoDataset
from fairmot_mm.registry import DATASETS

MOT15 = """\
1,3,5,6,20,30,1,-1,-1,-1
1,9,-4.5,2,10,20,0,-1,-1,-1
4,3,6,6.5,20,30,1,4.2,-7.1,0
"""


def boxes_of(record: dict) -> list[list[float]]:
    assert isinstance(record["gt_bboxes"], HorizontalBoxes)
    assert record["gt_bboxes"].tensor.dtype == torch.float32
    assert record["gt_bboxes_labels"].dtype == np.int64
    assert record["gt_instances_ids"].dtype == np.int64
    return record["gt_bboxes"].tensor.tolist()


def summary(dataset: MOTFrameDataset) -> list[tuple]:
    """Frame, boxes, labels and identities of each record."""
    records = [dataset.get_data_info(i) for i in range(len(dataset))]
    return [
        (
            int(Path(record["img_path"]).stem),
            boxes_of(record),
            record["gt_bboxes_labels"].tolist(),
            record["gt_instances_ids"].tolist(),
        )
        for record in records
    ]


def test_mot17_lines_become_records(tmp_path):
    root = make_mot_sequence(tmp_path)
    dataset = MOTFrameDataset(str(tmp_path))
    assert summary(dataset) == [
        (1, [[5, 6, 25, 36], [-4.5, 2, 5.5, 22]], [0, 0], [0, 1]),
        (2, [], [], []),
        (3, [[0, 2, 10, 22]], [0], [1]),
        (4, [[6, 6.5, 26, 36.5]], [0], [0]),
    ]
    assert dataset.num_ids == 2
    assert dataset.get_data_info(2)["img_path"] == str(root / "img1/000003.jpg")
    assert [dataset.get_data_info(i)["img_id"] for i in range(4)] == [0, 1, 2, 3]


def test_mot15_lines_become_records(tmp_path):
    make_mot_sequence(tmp_path, gt=MOT15)
    dataset = MOTFrameDataset(str(tmp_path))
    assert summary(dataset) == [
        (1, [[5, 6, 25, 36]], [0], [0]),
        (2, [], [], []),
        (3, [], [], []),
        (4, [[6, 6.5, 26, 36.5]], [0], [0]),
    ]
    assert dataset.num_ids == 1


def test_mot15_has_pedestrians_only(tmp_path):
    make_mot_sequence(tmp_path, gt=MOT15)
    both = MOTFrameDataset(str(tmp_path), metainfo=dict(classes=("car", "pedestrian")))
    assert [labels for _, _, labels, _ in summary(both)] == [[1], [], [], [1]]
    with pytest.raises(ValueError, match="empty ground truth"):
        MOTFrameDataset(str(tmp_path), metainfo=dict(classes=("car",)))


def test_labels_follow_the_order_of_the_classes(tmp_path):
    make_mot_sequence(tmp_path)
    classes = ("static_person", "car", "pedestrian")
    dataset = MOTFrameDataset(str(tmp_path), metainfo=dict(classes=classes))
    # Identities 3, 4, 7 and 9 of the file.
    assert [(f, labels, ids) for f, _, labels, ids in summary(dataset)] == [
        (1, [2, 1, 2], [0, 1, 3]),
        (2, [], []),
        (3, [0, 2], [2, 3]),
        (4, [2], [0]),
    ]
    assert dataset.num_ids == 4
    assert dataset.metainfo["classes"] == classes


def test_identities_of_each_class_count_from_zero(tmp_path):
    for name in ("A", "B"):
        make_mot_sequence(tmp_path, name)
    classes = ("static_person", "car", "pedestrian")
    dataset = MOTFrameDataset(
        str(tmp_path), per_class_ids=True, metainfo=dict(classes=classes)
    )
    found = [(labels, ids) for _, _, labels, ids in summary(dataset)]
    one = [([2, 1, 2], [0, 0, 1]), ([], []), ([0, 2], [0, 1]), ([2], [0])]
    other = [([2, 1, 2], [2, 1, 3]), ([], []), ([0, 2], [1, 3]), ([2], [2])]
    assert found == one + other
    assert dataset.num_ids_per_class == [2, 2, 4]


@pytest.mark.parametrize(
    ("least", "boxes_per_frame", "num_ids"),
    [(0.125, [2, 0, 1, 1], 2), (0.25, [2, 0, 0, 1], 2), (0.26, [1, 0, 0, 1], 1)],
)
def test_what_is_hardly_visible_is_left_out(tmp_path, least, boxes_per_frame, num_ids):
    make_mot_sequence(tmp_path)
    dataset = MOTFrameDataset(str(tmp_path), min_visibility=least)
    assert [len(boxes) for _, boxes, _, _ in summary(dataset)] == boxes_per_frame
    assert dataset.num_ids == num_ids


def test_halves(tmp_path):
    make_mot_sequence(tmp_path)
    first = MOTFrameDataset(str(tmp_path), half="first")
    second = MOTFrameDataset(str(tmp_path), half="second")
    whole = MOTFrameDataset(str(tmp_path))
    # Both halves hold the identities 3 and 9, so the numbers are those of the whole.
    assert summary(first) + summary(second) == summary(whole)
    assert [frame for frame, *_ in summary(first)] == [1, 2]
    assert [frame for frame, *_ in summary(second)] == [3, 4]


def test_identities_of_the_other_half_are_not_counted(tmp_path):
    gt = MOT17 + "4,20,1,1,9,9,1,1,1\n2,1,1,1,9,9,1,1,1\n"
    make_mot_sequence(tmp_path, gt=gt)
    first = MOTFrameDataset(str(tmp_path), half="first")
    second = MOTFrameDataset(str(tmp_path), half="second")
    # 1, 3, 9 and 3, 9, 20.
    assert [ids for *_, ids in summary(first)] == [[1, 2], [0]]
    assert [ids for *_, ids in summary(second)] == [[1], [0, 2]]
    assert (first.num_ids, second.num_ids) == (3, 3)


def test_identities_are_numbered_over_sequences(tmp_path):
    for name in ("A", "B", "C"):
        make_mot_sequence(tmp_path, name)
    dataset = MOTFrameDataset(str(tmp_path))
    assert dataset.num_ids == 6
    assert [ids for *_, ids in summary(dataset)] == [
        *([0, 1], [], [1], [0]),
        *([2, 3], [], [3], [2]),
        *([4, 5], [], [5], [4]),
    ]


def test_sequences_by_name_and_by_detector(tmp_path):
    for name in ("M-01-DPM", "M-01-SDP", "M-02-SDP"):
        make_mot_sequence(tmp_path, name)

    def folders(**kwargs) -> list[str]:
        dataset = MOTFrameDataset(str(tmp_path), **kwargs)
        records = [dataset.get_data_info(i) for i in range(len(dataset))]
        names = [Path(record["img_path"]).parents[1].name for record in records]
        assert all(names.count(name) == 4 for name in names)
        return list(dict.fromkeys(names))

    assert folders() == ["M-01-DPM", "M-01-SDP", "M-02-SDP"]
    assert folders(detector="SDP") == ["M-01-SDP", "M-02-SDP"]
    assert folders(sequences=["M-02-SDP", "M-01-DPM"]) == ["M-02-SDP", "M-01-DPM"]
    with pytest.raises(ValueError, match=r"no sequence M-09; there is M-01-DPM, M-01"):
        MOTFrameDataset(str(tmp_path), sequences=["M-09"])
    with pytest.raises(ValueError, match="whose name ends in -FRCNN"):
        MOTFrameDataset(str(tmp_path), detector="FRCNN")


@pytest.mark.parametrize(
    "source",
    [pytest.param("real_sequence", marks=pytest.mark.needs_shared), "synthetic"],
)
def test_records_equal_the_lines_of_the_files(request, source):
    root = request.getfixturevalue(source)
    dataset = MOTFrameDataset(str(root))
    records = [dataset.get_data_info(i) for i in range(len(dataset))]
    by_image = {}
    for record in records:
        assert Path(record["img_path"]).is_file()
        rows = zip(boxes_of(record), record["gt_instances_ids"].tolist(), strict=True)
        by_image[record["img_path"]] = sorted(rows)

    expected, identities = {path: [] for path in by_image}, {}
    for gt in sorted(root.rglob("gt.txt")):
        folder = gt.parents[1]
        rows = [list(map(float, row)) for row in csv.reader(gt.open())]
        rows = [row for row in rows if row[6] != 0 and row[7] == 1]
        for number in sorted({row[1] for row in rows}):
            identities[folder, number] = len(identities)
        for frame, number, x, y, w, h, *_ in rows:
            box = np.float32([x, y, x + w, y + h]).tolist()
            path = str(folder / "img1" / f"{frame:06.0f}.jpg")
            expected[path].append((box, identities[folder, number]))
    assert by_image == {path: sorted(rows) for path, rows in expected.items()}
    assert dataset.num_ids == len(identities) > 3


def test_a_frame_without_boxes_goes_through_training_transforms(tmp_path):
    make_mot_sequence(tmp_path)
    dataset = MOTFrameDataset(str(tmp_path), pipeline=pipeline_of("train_pipeline"))
    np.random.seed(0)
    for _ in range(10):
        packed = dataset[1]
        assert packed["inputs"].shape == (3, *INPUT[::-1])
        assert packed["inputs"].dtype == torch.uint8
        sample = packed["data_samples"]
        assert isinstance(sample, DetDataSample)
        assert len(sample.gt_instances) == 0
        assert sample.gt_instances.bboxes.shape == (0, 4)
        assert sample.gt_instances.labels.shape == (0,)
        assert sample.gt_instances.instances_ids.shape == (0,)
        assert sample.img_path.endswith("000002.jpg")


def test_boxes_and_identities_come_out_of_training_transforms(tmp_path):
    make_mot_sequence(tmp_path)
    config = dict(
        type="MOTFrameDataset",
        data_root=str(tmp_path),
        pipeline=pipeline_of("train_pipeline"),
    )
    dataset = DATASETS.build(config)
    np.random.seed(0)
    seen = set()
    for _ in range(20):
        found = dataset[0]["data_samples"].gt_instances
        assert len(found.bboxes) == len(found.labels) == len(found.instances_ids)
        assert found.instances_ids.dtype == torch.int64
        seen.add(tuple(found.instances_ids.tolist()))
    # The second box reaches outside the image and is lost now and then.
    assert (0, 1) in seen
    assert seen <= {(), (0,), (1,), (0, 1)}


def both_datasets(
    root: Path, **kwargs
) -> list[Callable[[], MOTFrameDataset | MOTVideoDataset]]:
    return [
        lambda: MOTFrameDataset(str(root), **kwargs),
        lambda: MOTVideoDataset(str(root), **kwargs),
    ]


def test_missing_folder_is_named(tmp_path):
    for build in both_datasets(tmp_path / "nowhere"):
        with pytest.raises(FileNotFoundError, match="nowhere"):
            build()


def test_missing_images_are_named(tmp_path):
    folder = make_mot_sequence(tmp_path)
    for frame in (3, 4):
        (folder / f"img1/{frame:06d}.jpg").unlink()
    for build in both_datasets(tmp_path):
        with pytest.raises(
            FileNotFoundError, match=r"000003\.jpg: missing, and 1 more of 4 images"
        ):
            build()
    # Nobody needs them for the first half.
    for build in both_datasets(tmp_path, half="first"):
        assert len(build()) > 0


def test_missing_image_folder_is_named(tmp_path):
    folder = make_mot_sequence(tmp_path)
    (folder / "img1").rename(folder / "images")
    for build in both_datasets(tmp_path):
        with pytest.raises(FileNotFoundError, match=r"SEQ/img1/000001\.jpg: missing"):
            build()


def test_half_of_one_frame_is_refused(tmp_path):
    make_mot_sequence(tmp_path, gt="1,1,1,1,9,9,1,1,1\n", frames=1)
    for build in both_datasets(tmp_path, half="first"):
        with pytest.raises(ValueError, match="first half of its seqLength"):
            build()
    for build in both_datasets(tmp_path, half="second"):
        assert len(build()) == 1


def test_unknown_class_asked_for(tmp_path):
    make_mot_sequence(tmp_path)
    with pytest.raises(
        ValueError, match=r"unknown class 'person' in metainfo\.classes: .*pedestrian"
    ):
        MOTFrameDataset(str(tmp_path), metainfo=dict(classes=("person",)))


@pytest.mark.parametrize("number", [0, 14])
def test_unknown_class_in_the_file(tmp_path, number):
    # Line 2 comes first in the file, line 3 in the order of frames.
    gt = f"1,1,1,1,9,9,1,1,1\n4,2,1,1,9,9,1,{number},1\n2,2,1,1,9,9,1,{number},1\n"
    make_mot_sequence(tmp_path, gt=gt)
    with pytest.raises(ValueError, match=rf"gt\.txt:2: unknown class {number}, exp"):
        MOTFrameDataset(str(tmp_path))


def test_class_of_a_line_that_is_not_marked_is_not_looked_at(tmp_path):
    make_mot_sequence(tmp_path, gt="1,1,1,1,9,9,1,1,1\n1,2,1,1,9,9,0,14,1\n")
    assert MOTFrameDataset(str(tmp_path)).num_ids == 1


@pytest.mark.parametrize(
    ("gt", "options"),
    [
        ("1,1,1,1,9,9,0,1,1\n1,2,1,1,9,9,0,1,1\n", {}),
        ("1,1,1,1,9,9,1,3,1\n1,2,1,1,9,9,1,7,1\n", {}),
        ("1,1,1,1,9,9,1,1,.2\n1,2,1,1,9,9,1,1,.3\n", dict(min_visibility=0.5)),
        ("1,1,1,1,9,9,1,1,1\n2,1,1,1,9,9,1,1,1\n", dict(half="second")),
    ],
    ids=["marked 0", "other classes", "hidden", "other half"],
)
def test_ground_truth_without_any_box_left_is_refused(tmp_path, gt, options):
    make_mot_sequence(tmp_path, gt=gt)
    with pytest.raises(ValueError, match=r"empty ground truth: .*left out: 2 "):
        MOTFrameDataset(str(tmp_path), **options)


def test_training_needs_ground_truth_and_tracking_does_not(tmp_path):
    make_mot_sequence(tmp_path, gt=None)
    with pytest.raises(FileNotFoundError, match=r"gt\.txt: no ground truth"):
        MOTFrameDataset(str(tmp_path))
    assert len(MOTVideoDataset(str(tmp_path))) == 1


def spoil_empty(path: Path) -> None:
    path.write_bytes(b"")


def spoil_text(path: Path) -> None:
    path.write_text("this is no image")


def spoil_end(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 3])


def spoil_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def spoil_absent(path: Path) -> None:
    path.unlink()


@pytest.mark.parametrize(
    "spoil", [spoil_empty, spoil_text, spoil_end, spoil_folder, spoil_absent]
)
def test_unreadable_image_is_named(tmp_path, spoil, monkeypatch):
    folder = make_mot_sequence(tmp_path)
    train = MOTFrameDataset(str(tmp_path), pipeline=pipeline_of("train_pipeline"))
    test = MOTVideoDataset(str(tmp_path), pipeline=pipeline_of("test_pipeline"))
    spoil(folder / "img1/000003.jpg")
    logged = []
    monkeypatch.setattr(
        "fairmot_mm.datasets.frame_dataset.print_log",
        lambda text, **_: logged.append(text),
    )
    assert train[2]["data_samples"].img_path != str(folder / "img1/000003.jpg")
    assert re.match(r"unreadable image .*SEQ/img1/000003\.jpg", logged[0])
    assert "another image is taken instead (1 of 10 times)" in logged[0]
    with pytest.raises(OSError, match=r"unreadable image .*SEQ/img1/000003\.jpg"):
        test[0, 2]
