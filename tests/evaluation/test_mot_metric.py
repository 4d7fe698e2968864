import json
import os
from pathlib import Path

import pytest
import torch
import torch.multiprocessing
from mmengine.logging import MMLogger
from mmengine.structures import InstanceData

from fairmot_mm.evaluation import MOTMetric, cases
from fairmot_mm.registry import METRICS

from mmdet.structures import DetDataSample, TrackDataSample  # isort: skip

LENGTH = 4
INI = "[Sequence]\nframeRate=30\nseqLength=4\nimWidth=640\nimHeight=480\n"


def make_sequence(root: Path, with_gt: bool = True) -> Path:
    """Two people who stand still for four frames."""
    (root / "gt").mkdir(parents=True)
    (root / "seqinfo.ini").write_text(INI)
    if with_gt:
        lines = (
            f"{frame},{person},{100 * person},50,40,80,1,1,1"
            for frame in range(1, LENGTH + 1)
            for person in (1, 2)
        )
        (root / "gt" / "gt.txt").write_text("\n".join(lines))
    return root


def make_frame(
    root: Path, number: int, people=(1, 2), frame_range=(1, LENGTH)
) -> DetDataSample:
    people = torch.tensor(people, dtype=torch.long)
    left = 100.0 * people[:, None]
    tracks = InstanceData(
        bboxes=left * torch.tensor([1.0, 0, 1, 0]) + torch.tensor([0.0, 50, 40, 130]),
        scores=torch.full((len(people),), 0.75),
        labels=torch.zeros(len(people), dtype=torch.long),
        instances_id=people + 10,
    )
    return DetDataSample(
        pred_track_instances=tracks,
        metainfo=dict(
            img_path=str(root / "img1" / f"{number:06d}.jpg"),
            frame_id=number - frame_range[0],
            sequence_root=str(root),
            frame_number=number,
            frame_range=frame_range,
        ),
    )


def process(metric: MOTMetric, frames: list[DetDataSample]) -> None:
    """Hand frames over one by one, as the loops do."""
    for frame in frames:
        metric.process({}, [TrackDataSample(video_data_samples=[frame]).to_dict()])


def frames_of(root: Path) -> list[DetDataSample]:
    """Both people found, but the second only on the first two frames."""
    people = {1: (1, 2), 2: (1, 2), 3: (1,), 4: ()}
    return [make_frame(root, number, people[number]) for number in people]


@pytest.fixture
def log(monkeypatch) -> list[str]:
    messages: list[str] = []
    logger = MMLogger.get_current_instance()
    for level in ("info", "warning"):
        monkeypatch.setattr(logger, level, messages.append)
    return messages


def test_is_registered_and_reports_both_backends(tmp_path, log):
    metric = METRICS.build(dict(type="MOTMetric"))
    root = make_sequence(tmp_path / "MOT17-90")
    process(metric, frames_of(root))
    figures = metric.evaluate(size=1)
    assert figures["mot/MOTA"] == pytest.approx(1 - 3 / 8)
    assert figures["mot/FN"] == 3
    assert 0 < figures["mot/HOTA"] < 1
    # Frame 4 has no result line and is not walked.
    assert figures["mot/motmetrics/MOTA"] == pytest.approx(1 - 1 / 6)
    assert "mot/motmetrics/HOTA" not in figures
    assert [message.split(":")[0] for message in log] == ["trackeval", "motmetrics"]
    assert "| COMBINED |" in log[0]
    assert not list(tmp_path.glob("*.txt"))


def test_result_file_holds_every_frame_once(tmp_path, log):
    root = make_sequence(tmp_path / "MOT17-90")
    metric = MOTMetric(["trackeval"], outfile_prefix=str(tmp_path / "out"))
    frames = frames_of(root)
    process(metric, [*frames, frames[0]])  # the sampler filled up
    figures = metric.evaluate(size=5)
    assert set(figures) >= {"mot/HOTA", "mot/IDF1"}
    assert not any("motmetrics" in key for key in figures)
    assert (tmp_path / "out" / "MOT17-90.txt").read_text().splitlines() == [
        "1,11,100.000,50.000,40.000,80.000,0.7500,-1,-1,-1",
        "1,12,200.000,50.000,40.000,80.000,0.7500,-1,-1,-1",
        "2,11,100.000,50.000,40.000,80.000,0.7500,-1,-1,-1",
        "2,12,200.000,50.000,40.000,80.000,0.7500,-1,-1,-1",
        "3,11,100.000,50.000,40.000,80.000,0.7500,-1,-1,-1",
    ]
    assert log[0] == f"wrote 1 result files to {tmp_path / 'out'}"
    assert metric.results == []


def test_video_in_one_sample(tmp_path, log):
    metric = MOTMetric(["trackeval"])
    frames = frames_of(make_sequence(tmp_path / "MOT17-90"))
    metric.process({}, [TrackDataSample(video_data_samples=frames).to_dict()])
    assert metric.evaluate(size=1)["mot/FN"] == 3


def test_half_of_a_video_keeps_its_numbers(tmp_path, log):
    root = make_sequence(tmp_path / "MOT17-90")
    metric = MOTMetric(outfile_prefix=str(tmp_path), prefix="half")
    half = (3, LENGTH)
    process(metric, [make_frame(root, number, frame_range=half) for number in (3, 4)])
    figures = metric.evaluate(size=2)
    assert figures["half/MOTA"] == 1
    assert figures["half/motmetrics/MOTA"] == 1
    numbers = [line[0] for line in (tmp_path / "MOT17-90.txt").read_text().split()]
    assert numbers == ["3", "3", "4", "4"]


def test_sequences_without_ground_truth_are_only_written(tmp_path, log):
    roots = [
        make_sequence(tmp_path / "MOT17-90"),
        make_sequence(tmp_path / "MOT17-91", with_gt=False),
    ]
    out = tmp_path / "out"
    metric = MOTMetric(["trackeval"], outfile_prefix=str(out))
    for root in roots:
        process(metric, frames_of(root))
    assert metric.evaluate(size=2)["mot/FN"] == 3
    assert "no ground truth, so no figures: MOT17-91" in log
    assert sorted(path.name for path in out.iterdir()) == [
        "MOT17-90.txt",
        "MOT17-91.txt",
    ]

    process(metric, frames_of(roots[1]))
    assert metric.evaluate(size=1) == {}


def test_format_only_writes_and_scores_nothing(tmp_path, log):
    metric = MOTMetric(format_only=True, outfile_prefix=str(tmp_path))
    root = make_sequence(tmp_path / "MOT17-90")
    process(metric, [make_frame(root, 1, ())])
    assert metric.evaluate(size=1) == {}
    assert (tmp_path / "MOT17-90.txt").read_text() == ""
    assert len(log) == 1


def test_no_frames_at_all(log):
    assert MOTMetric().evaluate(size=0) == {}
    assert log == ["MOTMetric got no frames: nothing to write or score"]


def test_sequences_of_one_name_do_not_overwrite_each_other(tmp_path, log):
    metric = MOTMetric(outfile_prefix=str(tmp_path))
    for parent in ("train", "test"):
        process(metric, frames_of(make_sequence(tmp_path / parent / "MOT17-90")))
    with pytest.raises(ValueError, match="two sequences are named MOT17-90"):
        metric.evaluate(size=2)


def test_arguments_are_checked():
    with pytest.raises(ValueError, match=r"backends: unknown \['clear'\]"):
        MOTMetric(backends=["clear"])
    with pytest.raises(ValueError, match="format_only needs outfile_prefix"):
        MOTMetric(format_only=True)


NAMES = ("MOT17-90", "MOT17-91", "MOT17-92")
# What each of two processes tracks: unequal shares, then nothing in the main one.
SHARES = ((NAMES[1:], NAMES[:1]), ((), NAMES))


def _evaluate_in_process(rank: int, folder: str) -> None:
    # Working directories of their own, as on different machines; the second's is one
    # that not even root can write to.
    os.chdir((folder, "/proc")[rank])
    torch.set_num_threads(1)
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{folder}/store", rank=rank, world_size=2
    )
    figures = []
    for shares in SHARES:
        metric = MOTMetric()
        for name in shares[rank]:
            process(metric, frames_of(Path(folder, name)))
        figures.append(metric.evaluate(size=3))
    Path(folder, f"figures{rank}.json").write_text(json.dumps(figures))
    torch.distributed.destroy_process_group()


def test_processes_with_unequal_shares_agree_with_one(tmp_path, log):
    metric = MOTMetric()
    for name in NAMES:
        process(metric, frames_of(make_sequence(tmp_path / name)))
    alone = metric.evaluate(size=3)
    assert alone["mot/FN"] == 9
    torch.multiprocessing.spawn(_evaluate_in_process, (str(tmp_path),), nprocs=2)
    for rank in (0, 1):
        figures = json.loads((tmp_path / f"figures{rank}.json").read_text())
        assert figures == [alone, alone]


def test_result_files_are_whole_or_not_there(tmp_path, full_disk):
    root = make_sequence(tmp_path / "MOT17-90")
    out = tmp_path / "out"
    metric = MOTMetric(["trackeval"], outfile_prefix=str(out))
    process(metric, frames_of(root))
    with full_disk(100), pytest.raises(OSError, match=r"out/MOT17-90\.txt"):
        metric.evaluate(size=1)
    assert list(out.iterdir()) == []


def test_gaps_are_filled_if_asked_for(tmp_path):
    root = make_sequence(tmp_path / "MOT17-90")
    people = ((1, 2), (1,), (1,), (1, 2))
    for max_gap, missed in ((0, 2), (1, 2), (2, 0)):
        metric = MOTMetric(backends=("trackeval",), max_gap=max_gap)
        process(metric, [make_frame(root, i, p) for i, p in enumerate(people, 1)])
        assert metric.evaluate(size=1)["mot/FN"] == missed
    with pytest.raises(ValueError, match="max_gap=-1"):
        MOTMetric(max_gap=-1)


def test_tracks_are_not_searched_for_gaps_unasked(tmp_path, monkeypatch):
    def fail(*_):
        raise AssertionError("searched")

    monkeypatch.setattr("fairmot_mm.evaluation.interpolation.interpolate_gaps", fail)
    metric = MOTMetric(backends=("trackeval",))
    process(metric, frames_of(make_sequence(tmp_path / "MOT17-90")))
    assert metric.evaluate(size=1)["mot/FN"] == 3


def test_files_are_read_once_for_both_backends(tmp_path, monkeypatch):
    read = []
    for name in ("read_gt", "read_results"):
        function = getattr(cases, name)
        monkeypatch.setattr(
            cases, name, lambda *a, f=function: read.append(f.__name__) or f(*a)
        )
    metric = MOTMetric()
    process(metric, frames_of(make_sequence(tmp_path / "MOT17-90")))
    metric.evaluate(size=1)
    assert sorted(read) == ["read_gt", "read_results"]


def test_one_class_of_several_is_scored(tmp_path):
    root = make_sequence(tmp_path / "MOT17-90")
    for label, extra in ((None, LENGTH), (0, 0)):
        frames = [make_frame(root, i, (1, 2, 3)) for i in range(1, LENGTH + 1)]
        for frame in frames:
            frame.pred_track_instances.labels[2] = 1
        metric = MOTMetric(backends=("trackeval",), label=label)
        process(metric, frames)
        assert metric.evaluate(size=1)["mot/FP"] == extra
