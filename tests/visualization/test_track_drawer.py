import numpy as np
import pytest
import torch

from fairmot_mm.visualization import TrackDrawer
from fairmot_mm.visualization.primitives import identity_colour

BOX = [[40.0, 60.0, 60.0, 100.0]]


@pytest.fixture
def frame():
    return np.full((160, 240, 3), 90, np.uint8)


def differs(one, other, rows, columns):
    return bool((one[rows, columns] != other[rows, columns]).any())


def test_draws_on_a_copy(frame):
    before = frame.copy()
    image = TrackDrawer().draw(frame, BOX, [7])
    assert (frame == before).all()
    assert image.shape == frame.shape
    assert image.dtype == np.uint8
    assert tuple(image[80, 40]) == identity_colour(7)
    assert tuple(image[80, 50]) == (90, 90, 90)


def test_tensors_draw_like_arrays(frame):
    boxes, identities = np.array(BOX), np.array([7])
    labels, names = np.array([1]), ("walker", "rider")
    arrays = TrackDrawer().draw(frame, boxes, identities, labels, names)
    tensors = TrackDrawer().draw(
        frame,
        torch.tensor(boxes, requires_grad=True),
        torch.tensor(identities),
        torch.tensor(labels),
        names,
    )
    assert (arrays == tensors).all()


def test_no_tracks(frame):
    image = TrackDrawer().draw(frame, torch.zeros(0, 4), torch.zeros(0))
    assert (image[40:] == frame[40:]).all()


def test_boxes_outside_the_image(frame):
    boxes = [[-50, -90, 10, 20], [230, 150, 400, 300]]
    image = TrackDrawer().draw(frame, boxes, [1, 2])
    assert image.shape == frame.shape
    for corner in (np.s_[:21, :11], np.s_[150:, 230:]):
        assert (image[corner] != frame[corner]).any()


@pytest.mark.parametrize("far", [1e6, 1e9, 1e12, 1e38])
def test_boxes_far_outside_the_image(frame, far):
    drawer = TrackDrawer()
    drawer.draw(frame, [[10, 10, 50, 50]], [1])
    image = drawer.draw(frame, [[-far, -far, 100, 100], [10, 10, far, far]], [1, 2])
    assert tuple(image[100, 50]) == identity_colour(1)
    assert tuple(image[100, 10]) == identity_colour(2)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_boxes_without_a_place_are_not_drawn(frame, bad):
    boxes = [[bad, 10, 50, 50], *BOX]
    image = TrackDrawer().draw(frame, boxes, [1, 7])
    assert (image == TrackDrawer().draw(frame, BOX, [7])).all()


def test_class_names_only_where_there_is_a_choice(frame):
    plain = TrackDrawer().draw(frame, BOX, [7])
    one_class = TrackDrawer().draw(frame, BOX, [7], labels=[0], class_names=["a"])
    two_classes = TrackDrawer().draw(
        frame, BOX, [7], labels=[1], class_names=["a", "b"]
    )
    assert (plain == one_class).all()
    assert (plain != two_classes).any()


def test_class_names_come_before_identities(frame, monkeypatch):
    written = []
    monkeypatch.setattr(
        "fairmot_mm.visualization.track_drawer.put_text",
        lambda image, text, *_: written.append(text),
    )
    TrackDrawer().draw(frame, BOX, [12], labels=[1], class_names=["person", "car"])
    assert written[0] == "car 12"


def test_header_counts_frames(frame):
    drawer = TrackDrawer(trail_length=0)
    first, second = (drawer.draw(frame, BOX, [7]) for _ in range(2))
    assert differs(first, second, slice(0, 30), slice(None))


def test_trail_is_drawn_then_dropped(frame):
    drawer = TrackDrawer(trail_length=4)
    moved = [[140.0, 60.0, 160.0, 100.0]]
    drawer.draw(frame, BOX, [7])
    path = slice(98, 103), slice(80, 130)  # from one bottom centre to the other
    assert differs(drawer.draw(frame, moved, [7]), frame, *path)
    gone = [drawer.draw(frame, np.zeros((0, 4)), []) for _ in range(5)]
    assert differs(gone[0], frame, *path)
    assert not differs(gone[-1], frame, *path)
    assert not drawer._trails


def test_trail_fades_towards_the_past(frame):
    drawer = TrackDrawer(trail_length=10)
    for left in range(0, 100, 10):
        image = drawer.draw(frame, [[left, 60.0, left + 20, 100.0]], [7])
    strength = np.abs(image[97:104].astype(int) - 90).sum(axis=(0, 2))
    assert strength[20:40].sum() < strength[50:70].sum()


def test_trails_of_length_zero(frame):
    drawer = TrackDrawer(trail_length=0)
    drawer.draw(frame, BOX, [7])
    assert not drawer._trails


@pytest.mark.parametrize(
    ("name", "kwargs"),
    [
        ("instances_id", dict(instances_id=[1, 2])),
        ("labels", dict(instances_id=[1], labels=[], class_names=["a", "b"])),
    ],
)
def test_lengths_are_checked(frame, name, kwargs):
    with pytest.raises(ValueError, match=name):
        TrackDrawer().draw(frame, BOX, **kwargs)


def test_arguments_are_checked():
    with pytest.raises(ValueError, match="trail_length"):
        TrackDrawer(trail_length=-1)
    with pytest.raises(ValueError, match="frame"):
        TrackDrawer().draw(np.zeros((4, 4), np.uint8), BOX, [1])
