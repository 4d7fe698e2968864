import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmdet.structures import TrackDataSample
from mmengine.config import Config
from mmengine.dataset import default_collate
from torch.testing import assert_close

from fairmot_mm.apis import inference_mot, init_model
from fairmot_mm.registry import DATASETS, MODELS
from fairmot_mm.utils import convert_fairmot_checkpoint

CONFIGS = Path(__file__).parents[2] / "configs"
FRAME_RATE = 15
# 192 x 128 fits at 3/4, with a border on the left and right.
CONFIG = """\
_base_ = {base!r}

model = dict(
    tracker=dict(obj_score_thr=0.5, min_box_area=0, max_aspect_ratio=None))
test_pipeline = [
    dict(
        type='TransformBroadcaster',
        transforms=[
            dict(type='CheckedLoadImageFromFile'),
            dict(type='Letterbox', size=(160, 96)),
        ]),
    {{{{_base_.pack_frames}}}},
]
test_dataloader = dict(dataset=dict(data_root={data!r}, pipeline=test_pipeline))
"""


@pytest.fixture(scope="module")
def frames(tmp_path_factory, synthetic):
    """Two images by turns: random weights find nothing again but the same image."""
    folder = tmp_path_factory.mktemp("frames") / "TURN"
    (folder / "img1").mkdir(parents=True)
    (folder / "seqinfo.ini").write_text(
        f"[Sequence]\nname=TURN\nimDir=img1\nframeRate={FRAME_RATE}\nseqLength=3\n"
        "imWidth=192\nimHeight=128\nimExt=.jpg\n"
    )
    paths = [folder / f"img1/{i:06d}.jpg" for i in (1, 2, 3)]
    for number, path in zip((1, 6, 1), paths, strict=True):
        shutil.copy(synthetic / f"SYN-00/img1/{number:06d}.jpg", path)
    return paths


@pytest.fixture(scope="module")
def config_file(tmp_path_factory, frames):
    path = tmp_path_factory.mktemp("config") / "small.py"
    base = str(CONFIGS / "fairmot_dla34_overfit.py")
    path.write_text(CONFIG.format(base=base, data=str(frames[0].parents[2])))
    return path


@pytest.fixture(scope="module")
def state(golden, published_state):
    return convert_fairmot_checkpoint(published_state(golden("net_dla_34.npz")))


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory, state):
    path = tmp_path_factory.mktemp("checkpoint") / "weights.pth"
    torch.save(dict(state_dict=state), path)
    return path


@pytest.fixture(scope="module")
def model(config_file, checkpoint):
    return init_model(config_file, checkpoint, device="cpu")


@pytest.fixture(scope="module")
def expected(model):
    """Tracks of the frames by way of the dataset and the test pipeline."""
    dataset = DATASETS.build(model.cfg.test_dataloader.dataset)
    results = []
    for i in range(dataset.get_len_per_video(0)):
        (result,) = model.test_step(default_collate([dataset[0, i]]))
        results.append(result[0].pred_track_instances)
    return results


def run(model, frames, start=0, **kwargs) -> list:
    results = [
        inference_mot(model, f, i, **kwargs) for i, f in enumerate(frames, start)
    ]
    return [result.pred_track_instances for result in results]


def assert_same(tracks, expected):
    assert len(tracks) == len(expected)
    for one, other in zip(tracks, expected, strict=True):
        assert one.instances_id.tolist() == other.instances_id.tolist()
        assert one.labels.tolist() == other.labels.tolist()
        assert_close(one.bboxes, other.bboxes)
        assert_close(one.scores, other.scores)


def test_model_of_a_config_and_a_checkpoint(model, state, config_file):
    assert not model.training
    assert model.tracker.obj_score_thr == 0.5
    assert model.cfg.filename == str(config_file)
    # What was not folded or laid out anew is the checkpoint's, tensor by tensor.
    own = model.state_dict()
    names = [name for name in own if name.startswith(("reid_head.", "bbox_head."))]
    assert len(names) == 16
    assert all(torch.equal(own[name], state[name]) for name in names)
    # The others compute what the network of the config does when it is made faster.
    plain = MODELS.build(model.cfg.model)
    plain.load_state_dict(state, strict=False)
    image = torch.rand(1, 3, 64, 96)
    expected = plain.optimize_for_inference()(image, mode="tensor")
    assert_close(model(image, mode="tensor"), expected)


def test_model_of_a_config_alone(config_file):
    # As a string, as a config, and of a config that ships.
    settings = dict(model=dict(tracker=dict(num_frames_retain=7)))
    model = init_model(str(config_file), device="cpu", cfg_options=settings)
    assert not model.training
    assert model.tracker.num_frames_retain == 7
    assert model.tracker.obj_score_thr == 0.5
    config = Config.fromfile(CONFIGS / "fairmot_dla34_demo.py")
    model = init_model(config, device="cpu")
    assert model.tracker.num_frames_retain == 10
    assert {p.device.type for p in model.parameters()} == {"cpu"}
    (result,) = run(model, [np.zeros((32, 48, 3), np.uint8)])
    assert result.bboxes.shape == (len(result), 4)


@pytest.mark.parametrize(
    ("capability", "asked", "given"),
    [
        ((7, 5), torch.bfloat16, torch.float16),
        ((7, 5), torch.float32, torch.float32),
        ((8, 0), torch.bfloat16, torch.bfloat16),
    ],
)
def test_half_precision_is_what_the_gpu_has(
    config_file, monkeypatch, capability, asked, given
):
    class Model:
        def to(self, device):
            return self

        def eval(self):
            return self

        def optimize_for_inference(self, dtype):
            self.dtype = dtype

    monkeypatch.setattr(MODELS, "build", lambda _: Model())
    monkeypatch.setattr("torch.cuda.get_device_capability", lambda _: capability)
    assert init_model(config_file, device="cuda:0", dtype=asked).dtype == given
    assert init_model(config_file, device="cpu", dtype=asked).dtype == asked


def test_missing_files_are_named(tmp_path, config_file):
    with pytest.raises(FileNotFoundError, match=r"nowhere\.py"):
        init_model(tmp_path / "nowhere.py", device="cpu")
    with pytest.raises(FileNotFoundError, match=r"no checkpoint at .*nowhere\.pth"):
        init_model(config_file, tmp_path / "nowhere.pth", device="cpu")


def test_wrong_checkpoint_is_named(tmp_path, config_file):
    path = tmp_path / "other.pth"
    torch.save(torch.nn.Linear(2, 3).state_dict(), path)
    with pytest.raises(ValueError, match=r"other\.pth: checkpoint of another arch"):
        init_model(config_file, path, device="cpu")


def test_equals_tracking_the_dataset(model, frames, expected):
    ids = [set(tracks.instances_id.tolist()) for tracks in expected]
    assert len(ids[0] & ids[2]) > 5
    # A frame may be a path, a string or an image.
    given = [frames[0], str(frames[1]), cv2.imread(str(frames[2]))]
    assert_same(run(model, given, frame_rate=FRAME_RATE), expected)


def test_result_is_a_sample_of_one_frame(model, frames):
    result = inference_mot(model, frames[0], 0)
    assert isinstance(result, TrackDataSample)
    assert len(result) == 1
    tracks = result.pred_track_instances
    assert tracks is result[0].pred_track_instances
    # Tracks of a first frame are its detections.
    found = result[0].pred_instances
    found = found[found.scores > 0.5]
    assert len(found) > 5
    assert_close(tracks.bboxes, found.bboxes, rtol=0, atol=1e-3)
    assert_close(tracks.scores, found.scores)


def test_frame_zero_starts_a_new_video(model, frames, expected):
    for _ in range(2):
        tracks = run(model, frames[:2], frame_rate=FRAME_RATE)
        assert_same(tracks, expected[:2])
    # The second frame as a first one: all it shows is new, and numbered from 1.
    (tracks,) = run(model, frames[1:2])
    assert len(tracks) > 5
    assert tracks.instances_id.tolist() == list(range(1, len(tracks) + 1))
    assert len(expected[1]) < len(tracks)


def test_streams_by_turns_are_refused(model, frames):
    """One model cannot tell them apart: their people would be mixed."""
    run(model, frames[:2])
    run(model, frames[:1])
    with pytest.raises(ValueError, match=r"frame_id 2 does not .* next frame is 1"):
        run(model, frames[2:], start=2)
    assert len(run(model, frames[1:], start=1)) == 2
    with pytest.raises(ValueError, match=r"frame_id 2 does not .* next frame is 3"):
        run(model, frames[:1], start=2)


def test_frame_rate_counts_when_a_video_starts(model, frames):
    retain = model.tracker.num_frames_retain
    run(model, frames[:1], frame_rate=60)
    assert model.tracker.max_frames_lost == 2 * retain
    run(model, frames[1:2], start=1, frame_rate=15)
    assert model.tracker.max_frames_lost == 2 * retain
    for rate in (30, 1000, 90000, float("nan"), float("inf"), 0, -1, None):
        run(model, frames[:1], frame_rate=rate)
        assert model.tracker.max_frames_lost == retain


def test_unreadable_frame_is_named(model, tmp_path):
    with pytest.raises(OSError, match=r"unreadable image .*nowhere\.jpg"):
        inference_mot(model, tmp_path / "nowhere.jpg", 0)
    (tmp_path / "text.jpg").write_text("no image")
    with pytest.raises(OSError, match=r"unreadable image .*text\.jpg"):
        inference_mot(model, str(tmp_path / "text.jpg"), 0)


@pytest.mark.parametrize(
    ("shape", "dtype"),
    [
        ((48, 64, 3), np.float32),
        ((48, 64), np.uint8),
        ((48, 64, 4), np.uint8),
        ((1, 48, 64, 3), np.uint8),
    ],
)
def test_frame_that_is_no_image_of_bytes(model, shape, dtype):
    with pytest.raises(ValueError, match=rf"frame of {np.dtype(dtype)} and shape"):
        inference_mot(model, np.zeros(shape, dtype), 0)
