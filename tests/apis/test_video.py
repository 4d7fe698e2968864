from pathlib import Path

import cv2
import numpy as np
import pytest

from fairmot_mm.apis import inference_mot, init_model, track_video
from fairmot_mm.formats.mot_results import read_results

CONFIG = """\
_base_ = {base!r}
model = dict(
    tracker=dict(obj_score_thr=0.0, min_box_area=0, max_aspect_ratio=None))
test_pipeline = [
    dict(
        type='TransformBroadcaster',
        transforms=[
            dict(type='CheckedLoadImageFromFile'),
            dict(type='Letterbox', size=(96, 64)),
        ]),
    {{{{_base_.pack_frames}}}},
]
test_dataloader = dict(dataset=dict(pipeline=test_pipeline))
"""


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    base = Path(__file__).parents[2] / "configs/fairmot_dla34_overfit.py"
    path = tmp_path_factory.mktemp("config") / "small.py"
    path.write_text(CONFIG.format(base=str(base)))
    return init_model(path, device="cpu")


@pytest.fixture(scope="module")
def images(synthetic):
    return sorted((synthetic / "SYN-00/img1").glob("*.jpg"))


def test_a_folder_is_tracked_as_frame_by_frame(model, images, tmp_path):
    seen = []
    out, drawing = tmp_path / "new/tracks.txt", tmp_path / "drawn.mp4"
    count = track_video(
        model, images[0].parent, out, drawing, lambda number, _: seen.append(number)
    )
    assert count == len(images) == 6
    assert seen == list(range(6))
    rows = []
    for number, path in enumerate(images):
        found = inference_mot(model, path, number).pred_track_instances
        for box, identity in zip(found.bboxes, found.instances_id, strict=True):
            rows.append([number + 1, identity, *box[:2], *(box[2:] - box[:2])])
    assert rows
    expected = np.array(rows)[np.lexsort((np.array(rows)[:, 1], np.array(rows)[:, 0]))]
    assert np.allclose(read_results(out)[:, :6], expected, atol=2e-3)
    capture = cv2.VideoCapture(str(drawing))
    assert capture.get(cv2.CAP_PROP_FRAME_COUNT) == 6
    assert capture.get(cv2.CAP_PROP_FRAME_WIDTH) == 192


def test_a_folder_is_tracked_in_the_order_of_its_numbers(model, images, tmp_path):
    folder = tmp_path / "numbered"
    folder.mkdir()
    for number, image in zip((1, 2, 10), images, strict=False):
        (folder / f"frame{number}.jpg").symlink_to(image)
    (folder / "._frame1.jpg").touch()
    several = tmp_path / "padded"
    several.mkdir()
    for number, image in enumerate(images[:3]):
        (several / f"{number:06d}.jpg").symlink_to(image)
    for name in (folder, several):
        assert track_video(model, name, tmp_path / f"{name.name}.txt") == 3
    numbered, padded = (tmp_path / f"{x}.txt" for x in ("numbered", "padded"))
    assert numbered.read_text() == padded.read_text() != ""

    (several / "cover.jpg").symlink_to(images[0])
    with pytest.raises(
        ValueError, match=r"padded: 000000\.jpg is .* cover\.jpg is not"
    ):
        track_video(model, several, tmp_path / "t.txt")


def test_a_video_file_is_read_to_its_end(model, images, tmp_path):
    path = tmp_path / "clip.mp4"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"mp4v"), 15, (192, 128))
    for image in images[:3]:
        writer.write(cv2.imread(str(image)))
    writer.release()
    assert track_video(model, path, tmp_path / "tracks.txt") == 3
    assert model.tracker.max_frames_lost == 15


@pytest.mark.parametrize("rate", [0.0, -1.0, float("nan")])
def test_a_camera_that_does_not_know_its_frame_rate(
    model, images, tmp_path, monkeypatch, rate
):
    class Camera:
        frames = [cv2.imread(str(path)) for path in images[:2]]  # noqa: RUF012

        def __init__(self, source):
            self.left = list(self.frames)

        def isOpened(self):  # noqa: N802
            return True

        def get(self, _):
            return rate

        def read(self):
            return (True, self.left.pop(0)) if self.left else (False, None)

        def release(self):
            pass

    monkeypatch.setattr("cv2.VideoCapture", Camera)
    assert track_video(model, 0, tmp_path / "tracks.txt", tmp_path / "t.mp4") == 2
    assert model.tracker.max_frames_lost == 30


def test_several_classes_are_told_apart(images, tmp_path):
    base = Path(__file__).parents[2] / "configs/fairmot_dla34_overfit.py"
    path = tmp_path / "small.py"
    path.write_text(CONFIG.format(base=str(base)))
    options = {"model.bbox_head.num_classes": 3}
    model = init_model(path, device="cpu", cfg_options=options)
    track_video(model, images[0].parent, tmp_path / "t.txt", tmp_path / "t.mp4")
    rows = np.loadtxt(tmp_path / "t.txt", delimiter=",")
    assert set(rows[:, 7]) == {1, 2, 3}
    assert (rows[:, 8:] == -1).all()


def test_wrong_sources_are_named(model, tmp_path):
    with pytest.raises(OSError, match=r"nowhere\.mp4"):
        track_video(model, tmp_path / "nowhere.mp4", tmp_path / "tracks.txt")
    with pytest.raises(ValueError, match="no image in"):
        track_video(model, tmp_path, tmp_path / "tracks.txt")
    (tmp_path / "1.jpg").write_bytes(b"no image")
    with pytest.raises(OSError, match=r"unreadable image .*1\.jpg"):
        track_video(model, tmp_path, tmp_path / "tracks.txt")
