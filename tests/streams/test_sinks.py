import numpy as np
import pytest
import torch
from mmengine.structures import InstanceData

from fairmot_mm.formats.mot_results import read_results
from fairmot_mm.streams import ResultsSink

FRAME = np.zeros((48, 64, 3), np.uint8)


def tracks(count: int) -> InstanceData:
    return InstanceData(
        bboxes=torch.tensor([[1.0, 2, 11, 22]]).repeat(count, 1),
        scores=torch.full((count,), 0.5),
        labels=torch.zeros(count, dtype=torch.long),
        instances_id=torch.arange(count) + 1,
    )


def test_every_frame_is_in_the_file_at_once(tmp_path):
    path = tmp_path / "new" / "tracks.txt"
    sink = ResultsSink(path)
    for number, count in enumerate((2, 0, 1)):
        sink.write(number, FRAME, tracks(count))
        assert len(read_results(path)) == (2, 2, 3)[number]
    sink.close()
    assert read_results(path)[:, 0].tolist() == [1, 1, 3]


def test_a_full_disk_leaves_whole_frames(tmp_path, full_disk):
    path = tmp_path / "tracks.txt"
    sink = ResultsSink(path)
    with full_disk(300), pytest.raises(OSError, match=r"tracks\.txt"):  # 7 lines
        for number in range(10):
            sink.write(number, FRAME, tracks(3))
    sink.close()
    assert read_results(path)[:, 0].tolist() == [1, 1, 1, 2, 2, 2]
