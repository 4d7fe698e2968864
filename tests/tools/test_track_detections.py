"""Detections written by tools/test.py and tracked again without the network."""

import runpy
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config

from fairmot_mm.apis.offline_tracking import OfflineTracker
from fairmot_mm.formats.detection_dumps import read_dump
from fairmot_mm.registry import MODELS

ROOT = Path(__file__).parents[2]
CONFIG = """
_base_ = {base!r}
test_dataloader = dict(
    num_workers=0,
    persistent_workers=False,
    dataset=dict(data_root={data!r}, detector=None, input_size=(96, 64)))
test_evaluator = dict(type="MOTMetric", backends=["trackeval"], max_gap=2)
model = dict(tracker=dict(
    obj_score_thr=0.45,
    low_score_thr=0.4,
    noise_by_score=True,
    camera_motion=dict(type="SparseFlowMotion", min_inliers=4),
    min_box_area=0,
    max_aspect_ratio=None))
"""
NO_CAMERA = ("--cfg-options", "model.tracker.camera_motion=None")


def main(tool: str, *arguments) -> int:
    tools = runpy.run_path(str(ROOT / "tools" / tool))
    return tools["main"]([*map(str, arguments)])


def track(*arguments) -> int:
    return main("track_detections.py", *arguments)


@pytest.fixture(scope="module")
def run(tmp_path_factory, synthetic) -> Path:
    """Config, results and dumps of one run of a network of random weights."""
    home = tmp_path_factory.mktemp("dumps")
    base = str(ROOT / "configs/fairmot_yolov5s_mot17.py")
    (home / "config.py").write_text(CONFIG.format(base=base, data=str(synthetic)))
    torch.manual_seed(0)
    model = Config.fromfile(home / "config.py").model
    network = MODELS.build(model | dict(_scope_="fairmot_mm"))
    # So that scores spread around the thresholds, and boxes can overlap.
    with torch.no_grad():
        network.bbox_head.heatmap_branch[-1].weight.mul_(60)
        network.bbox_head.heatmap_branch[-1].bias.fill_(-0.9)
        network.bbox_head.size_branch[-1].bias.fill_(3)
    torch.save(network.state_dict(), home / "weights.pth")
    arguments = (home / "config.py", home / "weights.pth", "--work-dir", home / "work")
    outputs = ("--out", home / "results", "--dump", home / "dumps")
    assert main("test.py", *arguments, *outputs) == 0
    return home


@pytest.mark.parametrize("given", [True, False])
def test_tracks_are_those_of_the_run_that_wrote_the_dumps(run, tmp_path, given):
    config = [run / "config.py"] if given else []
    assert track(run / "dumps", *config, "--out", tmp_path) == 0
    names = sorted(path.name for path in (run / "results").iterdir())
    assert names == ["SYN-00.txt", "SYN-01.txt", "SYN-02.txt"]
    for name in names:
        written = (run / "results" / name).read_bytes()
        assert written.count(b"\n") > 5
        assert (tmp_path / name).read_bytes() == written


def test_a_dump_holds_low_scores_and_the_camera(run):
    dump = read_dump(run / "dumps/SYN-00.parquet")
    assert len(dump) == 6
    assert dump.embeddings.dtype == np.float16
    assert dump.embeddings.shape[1] == 64
    assert 0.05 < dump.scores.min() < 0.4 < 0.45 < dump.scores.max()
    assert dump.info.config == "config"
    assert dump.camera_motions.shape == (6, 2, 3)
    np.testing.assert_array_equal(dump.camera_motions[0], np.eye(2, 3))
    counts = [len(dump.frame(number).scores) for number in range(1, 7)]
    assert sum(counts) == len(dump.scores)


def test_toolbox_trackers_track_dumps(run):
    cfg = Config.fromfile(run / "config.py")
    cfg.model.tracker = dict(
        type="mmdet.ByteTracker",
        motion=dict(type="mmdet.KalmanFilter"),
        obj_score_thrs=dict(high=0.3, low=0.2),
        init_track_thr=0.3,
    )
    rows = OfflineTracker(cfg).track(read_dump(run / "dumps/SYN-00.parquet"))
    assert set(rows[:, 0]) == {1, 2, 3, 4, 5, 6}


def test_array_and_tensor_ways_agree(run, monkeypatch):
    """What other trackers go through gives our tracker's results as well."""
    dump = read_dump(run / "dumps/SYN-01.parquet")
    offline = OfflineTracker(Config.fromfile(run / "config.py"))
    fast = offline.track(dump)
    monkeypatch.setattr("fairmot_mm.apis.offline_tracking.JDETracker", ())
    np.testing.assert_array_equal(offline.track(dump), fast)


@pytest.fixture
def public(tmp_path) -> Path:
    """A sequence with public detections: two people who walk."""
    folder = tmp_path / "data/PUB"
    (folder / "det").mkdir(parents=True)
    (folder / "seqinfo.ini").write_text(
        "[Sequence]\nname=PUB\nseqLength=5\nframeRate=30\nimWidth=200\nimHeight=100\n"
    )
    lines = [
        f"{frame},-1,{x + 2 * frame},20,20,50,{score}"
        for x, score in ((10, 0.9), (120, 0.8))
        for frame in range(1, 6)
    ]
    (folder / "det/det.txt").write_text("\n".join(lines))
    return folder


def test_public_detections(run, public, tmp_path):
    arguments = (public.parent, run / "config.py", "--out", tmp_path)
    assert track(*arguments, *NO_CAMERA) == 0
    rows = np.loadtxt(tmp_path / "PUB.txt", delimiter=",")
    assert rows[:, 0].tolist() == [1, 1, 2, 2, 3, 3, 4, 4, 5, 5]
    assert rows[:, 1].tolist() == [1, 2] * 5


def test_embeddings_of_crops_as_a_matrix(run, public, tmp_path):
    """People who jump are told by their embeddings alone."""
    lines = [
        f"{frame},-1,{x},20,20,50,0.9"
        for frame in range(1, 6)
        for x in ((10, 16) if frame % 2 else (16, 10))
    ]
    (public / "det/det.txt").write_text("\n".join(lines))
    np.save(public / "det/det.npy", np.tile(np.eye(2, 8, dtype=np.float32), (5, 1)))
    arguments = (public.parent, run / "config.py", "--out", tmp_path)
    assert track(*arguments, *NO_CAMERA) == 0
    rows = np.loadtxt(tmp_path / "PUB.txt", delimiter=",")
    first = rows[rows[:, 1] == 1]
    assert len(first) == 5
    assert (np.abs(np.diff(first[:, 2])) > 1).all()


def test_mistakes_are_one_line(run, public, tmp_path, capsys):
    def error(*arguments) -> str:
        capsys.readouterr()
        assert track(*arguments, "--out", tmp_path / "out") == 2
        (line,) = capsys.readouterr().err.splitlines()
        return line

    config, dumps = run / "config.py", run / "dumps"
    assert "no such folder" in error(tmp_path / "none", config)
    assert "no dump of SYN-09; there is SYN-00" in error(
        dumps, config, "--sequences", "SYN-09"
    )
    assert "network of config, but" in error(dumps, "fairmot_dla34_mot17")
    assert "holds scores above 0.05" in error(
        dumps, config, "--cfg-options", "model.tracker.low_score_thr=0.01"
    )
    camera = "model.tracker.camera_motion.min_inliers=99"
    assert "write the dump with this" in error(dumps, config, "--cfg-options", camera)
    assert "does not say how the camera moves" in error(public.parent, config)
    np.save(public / "det/det.npy", np.ones((3, 8)))
    assert "a row for each of the 10 lines" in error(public.parent, config)
    (public / "det/det.txt").write_text("1,-1,0,0,5,5,1\n9,-1,0,0,5,5,1")
    assert "det.txt:2: frame 9" in error(public.parent, config)
    cut = tmp_path / "cut"
    cut.mkdir()
    content = (dumps / "SYN-00.parquet").read_bytes()
    (cut / "SYN-00.parquet").write_bytes(content[:-50])
    assert "cut off" in error(cut, config)
