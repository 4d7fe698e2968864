"""Many annotations: fast to open, and in one place for all workers."""

import multiprocessing
import pickle
import re
from pathlib import Path

import numpy as np
import pytest

from fairmot_mm.datasets import JDEFrameDataset
from fairmot_mm.datasets.annotated_sequence import AnnotatedSequence, BoxTable
from fairmot_mm.datasets.frame_records import StringTable, join_records
from fairmot_mm.formats.annotation_errors import raise_error


def test_strings_come_back():
    strings = ["a", "", "ümlaut/鳥.jpg", "b" * 1000]
    table = StringTable(strings)
    assert [table[i] for i in range(len(table))] == strings
    picked = table.select(np.array([2, 2, 0]))
    assert [picked[i] for i in range(3)] == [strings[2], strings[2], strings[0]]


def records_of(ids: list[int], frames: list[int]):
    boxes = BoxTable(
        frames=np.array(frames),
        corners=np.tile([0, 0, 1, 1], (len(ids), 1)),
        classes=np.ones(len(ids)),
        identities=np.array(ids),
        lines=np.zeros(len(ids), int),
    )
    images = [f"{i}.jpg" for i in range(max(frames) + 1)]
    sequence = AnnotatedSequence("file", images, boxes, {1: "person"}, raise_error)
    return sequence.to_records(("person",), lambda reasons: np.ones(len(ids), bool))


def test_identities_of_sequences_differ_and_have_no_gaps():
    records = join_records(
        [records_of([7, -1, 100, 7], [0, 0, 0, 1]), records_of([7, 3], [0, 0])]
    )
    assert records.identities.tolist() == [0, -1, 1, 0, 3, 2]
    assert records.num_ids == 4
    assert records.sequence_index.tolist() == [0, 0, 1]
    assert records.select([2]).identities.tolist() == [3, 2]


@pytest.fixture(scope="module")
def large(tmp_path_factory) -> JDEFrameDataset:
    """A list of 20 000 images with five boxes each."""
    root = tmp_path_factory.mktemp("large")
    (root / "images").mkdir()
    (root / "labels_with_ids").mkdir()
    names = [f"images/{i}.jpg" for i in range(20_000)]
    text = "".join(f"0 {i} 0.5 0.5 0.123456 0.654321\n" for i in range(5))
    for i, name in enumerate(names):
        (root / name).touch()
        (root / f"labels_with_ids/{i}.txt").write_text(text)
    (root / "list.train").write_text("\n".join(names))
    return JDEFrameDataset("list.train", str(root))


def test_a_long_list_is_small(large):
    assert len(large) == 20_000
    # A million such images in 4 GB: 80 MB.
    assert len(pickle.dumps(large.records)) < 10e6


def private_kilobytes() -> int:
    text = Path("/proc/self/smaps_rollup").read_text()
    return sum(map(int, re.findall(r"Private_\w+: +(\d+) kB", text)))


def read_all(dataset, results) -> None:
    before = private_kilobytes()
    records, total = dataset.records, 0.0
    for index in range(len(dataset)):
        boxes = slice(*records.starts[index : index + 2].tolist())
        total += records.boxes[boxes].sum() + records.identities[boxes].sum()
        total += len(records.paths[index])
    results.put((private_kilobytes() - before, total))


@pytest.mark.skipif(
    not Path("/proc/self/smaps_rollup").exists(), reason="memory is asked of Linux"
)
def test_workers_share_the_annotations(large):
    context = multiprocessing.get_context("fork")
    results = context.Queue()
    worker = context.Process(target=read_all, args=(large, results))
    worker.start()
    growth, total = results.get(timeout=60)
    worker.join()
    assert total != 0
    # Objects of Python would be copied when they are looked at.
    assert growth * 1024 < len(pickle.dumps(large.records)) / 2
