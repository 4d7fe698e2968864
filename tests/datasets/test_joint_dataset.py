import shutil

import numpy as np
import pytest
import torch
from annotated_samples import rows_of, sample
from mmengine.dataset import DefaultSampler
from mmengine.runner import Runner

from fairmot_mm.datasets import JointDataset
from fairmot_mm.registry import DATASETS

MOT = dict(type="MOTFrameDataset")


@pytest.fixture
def sources(tmp_path, synthetic) -> list[dict]:
    """15 frames with identities, 3 of a list, 2 single images for detection."""
    jde = sample("JDE", tmp_path, [f"PRW/images/c1s1_000{i}.jpg" for i in _PRW])
    crowd = sample("CrowdHuman", tmp_path, [f"Images/273271,{i}.jpg" for i in _CROWD])
    return [
        dict(type="MOTFrameDataset", data_root=str(synthetic), name="synthetic"),
        dict(
            type="JDEFrameDataset",
            data_root=str(jde),
            ann_file="lists/prw.train",
            name="prw",
        ),
        dict(
            type="CrowdHumanFrameDataset",
            data_root=str(crowd),
            ann_file="annotation_train.odgt",
            id_per_box=False,
            name="crowd",
        ),
    ]


_PRW = 151, 376, 401
_CROWD = "c9db000d5146c15", "1a0d6000b9e1f5b7"


def identities(dataset, indices) -> set[int]:
    found = (row[2] for i in indices for row in rows_of(dataset, i))
    return {identity for identity in found if identity >= 0}


def test_identities_of_sources_never_collide(sources):
    joint = JointDataset(sources)
    alone = [DATASETS.build(source) for source in sources]
    assert joint.num_ids == sum(source.num_ids for source in alone)
    assert len(joint) == 20
    ranges = [range(15), range(15, 18), range(18, 20)]
    first = 0
    for images, source in zip(ranges, alone, strict=True):
        stop = first + source.num_ids
        assert identities(joint, images) == set(range(first, stop))
        # Boxes are the source's own; those without identity stay without.
        for i, row in enumerate(images):
            expected = rows_of(source, i)
            shifted = [
                (box, label, first + identity if identity >= 0 else -1, ignored)
                for box, label, identity, ignored in expected
            ]
            assert rows_of(joint, row) == shifted
        first = stop


def test_identities_are_the_same_every_time(sources):
    first, second = JointDataset(sources), JointDataset(sources)
    for i in range(len(first)):
        assert rows_of(first, i) == rows_of(second, i)
    identities = first.metainfo["identities"]
    assert identities == second.metainfo["identities"]
    assert [number for number, _ in identities] == [first.num_ids - 2, 2, 0]


def test_other_people_in_the_same_number_are_told_apart(tmp_path, synthetic):
    def fingerprint(root):
        dataset = DATASETS.build(dict(MOT, data_root=str(root), pipeline=[]))
        return dataset.metainfo["identities"]

    moved, others = tmp_path / "moved", tmp_path / "others"
    for folder in (moved, others):
        shutil.copytree(synthetic, folder)
    for path in others.glob("*/gt/gt.txt"):
        rows = [line.split(",") for line in path.read_text().splitlines()]
        path.write_text(
            "".join(
                ",".join((*r[:2], str(float(r[2]) + 1), *r[3:])) + "\n" for r in rows
            )
        )
    assert fingerprint(moved) == fingerprint(synthetic)
    assert fingerprint(others)[0] == fingerprint(synthetic)[0]
    assert fingerprint(others) != fingerprint(synthetic)


def test_repeats(sources):
    joint = JointDataset(sources, repeats=[1, 4, 2])
    assert len(joint) == 15 + 12 + 4
    assert rows_of(joint, 15) == rows_of(joint, 18) == rows_of(joint, 24)
    assert joint.num_ids == JointDataset(sources).num_ids


def test_classes_of_repeated_images(sources):
    joint = JointDataset(sources, repeats=[1, 4, 2])
    boxes = [len(joint.get_cat_ids(i)) for i in range(15, len(joint))]
    # Those of the list four times, then those of the single images that count, twice.
    assert boxes == [2, 0, 2] * 4 + [2, 1] * 2
    assert joint.get_cat_ids(-1) == [0]


def test_the_table_counts_what_was_read(sources):
    joint = JointDataset(sources, repeats=[1, 4, 2])
    lines = joint.summary().splitlines()
    cells = [[c.strip() for c in line.split("│")[1:-1]] for line in lines]
    rows = {row[0]: row[1:] for row in cells if len(row) > 1}
    boxes = len(joint.sources[0].records.boxes)
    ids = joint.sources[0].num_ids
    assert rows["prw"] == ["3", "4", "1", "0", "2", "12"]
    assert rows["crowd"] == ["2", "5", "3", "2", "0", "4"]
    assert rows["total"] == [*map(str, (20, boxes + 9, 4, 2, ids + 2, 31))]


def test_pipeline_of_the_mixture(sources):
    own = [dict(type="CheckedLoadImageFromFile")]
    sources[0]["pipeline"] = own
    both = [*own, dict(type="Letterbox", size=(96, 64))]
    joint = JointDataset(sources, pipeline=both)
    assert joint[0]["img"].shape == (128, 192, 3)
    assert joint[16]["img"].shape == (64, 96, 3)


def test_shares_by_the_sampler_of_the_toolbox(sources):
    from mmdet.datasets.samplers import MultiDataSampler

    joint = JointDataset(sources, repeats=[1, 1, 2])
    sampler = MultiDataSampler(joint, dataset_ratio=[0, 1, 0], seed=0)
    assert set(sampler) <= {15, 16, 17}


@pytest.mark.parametrize("processes", [1, 2, 3])
def test_processes_share_out_every_image_once_an_epoch(sources, processes, monkeypatch):
    joint = JointDataset(sources)
    for epoch in range(2):
        seen = []
        for rank in range(processes):
            monkeypatch.setattr(
                "mmengine.dataset.sampler.get_dist_info",
                lambda rank=rank: (rank, processes),
            )
            sampler = DefaultSampler(joint, seed=1, round_up=False)
            sampler.set_epoch(epoch)
            seen += list(sampler)
        assert sorted(seen) == list(range(len(joint)))


def load(sources, workers: int) -> list[tuple]:
    """An epoch through the loader of MMEngine's runner."""
    steps = [
        dict(type="CheckedLoadImageFromFile"),
        dict(type="RandomSaturationValue"),
        dict(type="Letterbox", size=(96, 64)),
        dict(type="RandomBoxAffine"),
        dict(type="mmdet.RandomFlip", prob=0.5),
        dict(type="PackTrackTrainInputs"),
    ]
    config = dict(
        batch_size=2,
        num_workers=workers,
        sampler=dict(type="DefaultSampler", shuffle=True),
        dataset=dict(type="JointDataset", datasets=sources, pipeline=steps),
    )
    batches = []
    for batch in Runner.build_dataloader(config, seed=3):
        found = [sample.gt_instances for sample in batch["data_samples"]]
        batches.append(
            (
                [sample.img_path for sample in batch["data_samples"]],
                torch.stack(batch["inputs"]),
                torch.cat([instances.bboxes.tensor for instances in found]),
                torch.cat([instances.instances_ids for instances in found]),
            )
        )
    return batches


def test_workers_draw_the_same_from_the_same_seed_and_differ(sources):
    first, second = load(sources, 2), load(sources, 2)
    for ours, theirs in zip(first, second, strict=True):
        assert ours[0] == theirs[0]
        for a, b in zip(ours[1:], theirs[1:], strict=True):
            assert torch.equal(a, b)
    # The two workers' streams of random numbers are not the same one.
    assert not torch.equal(first[0][1], first[1][1])


def test_the_order_of_workers_changes_no_identity(sources):
    def of_images(workers: int) -> dict:
        found = {}
        for paths, _, _, ids in load(sources, workers):
            found.setdefault(tuple(paths), set()).update(ids.tolist())
        return found

    one, three = of_images(1), of_images(3)
    assert one.keys() == three.keys()
    joint = JointDataset(sources)
    of_path = {
        joint.get_data_info(i)["img_path"]: {row[2] for row in rows_of(joint, i)}
        for i in range(len(joint))
    }
    for found in (one, three):
        for paths, ids in found.items():
            assert ids <= set().union(*(of_path[path] for path in paths))


def test_per_class_identities_of_a_mixture(tmp_path):
    configs = []
    for name in ("a", "b"):
        images = [f"sequences/{s}/{i:07d}.jpg" for s, n in _UAV for i in range(1, n)]
        root = sample("VisDrone", tmp_path / name, images)
        configs.append(
            dict(type="VisDroneFrameDataset", data_root=str(root), per_class_ids=True)
        )
    joint = JointDataset(configs)
    assert joint.num_ids_per_class == [4, 0, 0, 4, 0, 0, 0, 0, 0, 2]
    found = {
        (row[1], row[2])
        for i in range(len(joint))
        for row in rows_of(joint, i)
        if row[2] >= 0
    }
    expected = [(label, i) for label, n in ((0, 4), (3, 4), (9, 2)) for i in range(n)]
    assert found == set(expected)
    assert joint.num_ids == 10


_UAV = ("uav0000013_00000_v", 4), ("uav0000072_04488_v", 2)


def test_misuse_is_refused(sources, synthetic):
    with pytest.raises(ValueError, match=r"2 repeats for 3 datasets"):
        JointDataset(sources, repeats=[1, 2])
    with pytest.raises(ValueError, match=r"whole numbers from 1.*MultiDataSampler"):
        JointDataset(sources, repeats=[1, 0.5, 2])
    with pytest.raises(TypeError, match=r"MOTVideoDataset is no source of identities"):
        JointDataset([dict(type="MOTVideoDataset", data_root=str(synthetic))])
    sources[1]["metainfo"] = dict(classes=("person",))
    with pytest.raises(ValueError, match=r"prw .*same metainfo.classes"):
        JointDataset(sources)
    del sources[1]["metainfo"]
    sources[1]["per_class_ids"] = True
    with pytest.raises(
        ValueError, match=r"prw: per_class_ids=True, but False in synth"
    ):
        JointDataset(sources)


def test_records_are_shared_and_not_to_be_changed(sources):
    import copy

    joint = JointDataset(sources)
    records = joint.sources[0].records
    assert copy.deepcopy(joint).sources[0].records is records
    with pytest.raises(ValueError, match=r"read-only"):
        records.boxes[0] = 0
    before = records.boxes.copy()
    joint.get_data_info(0)["gt_bboxes"].tensor.fill_(7)
    np.testing.assert_array_equal(records.boxes, before)


def test_subsets_keep_the_numbers_of_identities(sources):
    dataset = DATASETS.build(sources[0])
    part = dataset.get_subset([3, 0])
    assert [rows_of(part, i) for i in (0, 1)] == [rows_of(dataset, i) for i in (3, 0)]
    assert part.num_ids == dataset.num_ids
    assert len(DATASETS.build(dict(sources[0], indices=4))) == 4
    assert len(DATASETS.build(dict(sources[0], indices=-4))) == 4
    with pytest.raises(IndexError, match=r"image 15 of 15 in synthetic"):
        dataset.get_data_info(15)


def test_images_of_sequence_stay_within_a_repeat(sources):
    dataset = JointDataset(sources, repeats=[2, 1, 1], pipeline=[])
    dataset.full_init()
    length = len(dataset.sources[0])
    for idx in range(2 * length):
        images = dataset.images_of_sequence(idx)
        assert idx in images
        names = {dataset.get_data_info(i)["img_path"].split("/")[-3] for i in images}
        assert len(names) == 1
        assert images.start // length == (images.stop - 1) // length
    assert max(len(dataset.images_of_sequence(i)) for i in range(length)) > 1
    # Images of lists are in no order.
    for idx in range(2 * length, len(dataset)):
        assert dataset.images_of_sequence(idx) == range(idx, idx + 1)


def test_a_subset_keeps_runs_of_a_sequence(sources):
    source = DATASETS.build(sources[0])
    whole = source.images_of_sequence(0)
    assert len(whole) > 2
    subset = source.get_subset([1, 0, len(source) - 1, 2])
    assert subset.images_of_sequence(0) == subset.images_of_sequence(1) == range(2)
    assert subset.images_of_sequence(3) == range(3, 4)
