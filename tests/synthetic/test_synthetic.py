import configparser
import runpy
from pathlib import Path

import cv2
import numpy as np
import pytest

from fairmot_mm import synthetic
from fairmot_mm.synthetic import MIN_VISIBILITY, make_dataset, make_sequence
from fairmot_mm.synthetic.background import cut_background
from fairmot_mm.synthetic.camera import Camera
from fairmot_mm.synthetic.figure import Person, draw_figure
from fairmot_mm.synthetic.scene import Scene

TOOL = Path(__file__).parents[2] / "tools" / "make_synthetic_mot.py"
SEQUENCE = dict(num_frames=40, num_people=6, size=(256, 144), seed=5)
DATASET = dict(
    train_sequences=1,
    test_sequences=1,
    num_frames=2,
    num_people=3,
    size=(128, 72),
    seed=5,
)
FRAME, IDENTITY, LEFT, TOP, WIDTH, HEIGHT, MARK, CLASS, VISIBILITY = range(9)


def read_gt(folder):
    return np.loadtxt(folder / "gt" / "gt.txt", delimiter=",", ndmin=2)


def read_images(folder):
    paths = sorted((folder / "img1").iterdir())
    return np.stack([cv2.imread(str(path)) for path in paths])


def contents(root):
    return {
        path.relative_to(root): path.read_bytes()
        for path in root.rglob("*")
        if path.is_file()
    }


def draw_figures(count=12, height=90.0):
    rng = np.random.default_rng(0)
    for index in range(count):
        person = Person.sample(rng, rng.random())
        foot = rng.uniform(90, 110), rng.uniform(110, 130)
        facing = 1 if index % 2 else -1
        yield foot, draw_figure(person, foot, height, index * 0.7, facing)


@pytest.fixture(scope="module")
def sequence(tmp_path_factory):
    root = tmp_path_factory.mktemp("sequence")
    make_sequence(root, "A", **SEQUENCE)
    return root / "A"


def test_layout(sequence):
    images = read_images(sequence)
    assert images.shape == (40, 144, 256, 3)
    assert (sequence / "img1" / "000001.jpg").exists()
    info = configparser.ConfigParser()
    info.read(sequence / "seqinfo.ini")
    assert dict(info["Sequence"]) == {
        "name": "A",
        "imdir": "img1",
        "framerate": "15",
        "seqlength": "40",
        "imwidth": "256",
        "imheight": "144",
        "imext": ".jpg",
    }


def test_ground_truth_columns(sequence):
    gt = read_gt(sequence)
    assert gt.shape[1] == 9
    assert set(gt[:, FRAME]) == set(range(1, 41))
    assert len(np.unique(gt[:, [FRAME, IDENTITY]], axis=0)) == len(gt)
    assert gt[:, IDENTITY].min() >= 1
    assert (gt[:, [WIDTH, HEIGHT]] > 0).all()
    assert (gt[:, VISIBILITY] > 0).all()
    assert (gt[:, VISIBILITY] <= 1).all()
    assert ((gt[:, CLASS] == 1) == (gt[:, MARK] == 1)).all()
    hardly_seen = gt[:, CLASS] == 8
    people = gt[hardly_seen | (gt[:, CLASS] == 1)]
    assert hardly_seen.any()
    assert ((people[:, VISIBILITY] < MIN_VISIBILITY) == (people[:, CLASS] == 8)).all()


def test_same_seed_same_bytes(sequence, tmp_path):
    make_sequence(tmp_path, "A", **SEQUENCE)
    assert contents(tmp_path / "A") == contents(sequence)


def test_other_seed_other_pictures(sequence, tmp_path):
    make_sequence(tmp_path, "A", **{**SEQUENCE, "num_frames": 1, "seed": 6})
    first = Path("img1/000001.jpg")
    assert contents(tmp_path / "A")[first] != contents(sequence)[first]


def test_box_bounds_figure_tightly():
    for foot, sprite in draw_figures():
        image = np.zeros((160, 200, 3), np.float32)
        before = np.ones(image.shape[:2], np.float32)
        sprite.paste(image)
        sprite.cover(before)
        rows, columns = np.nonzero(before < 0.5)
        drawn = columns.min(), rows.min(), columns.max() + 1, rows.max() + 1
        np.testing.assert_allclose(sprite.box, drawn, atol=2)
        assert image[before == 1].max() == 0
        assert sprite.box[3] == pytest.approx(foot[1], abs=2)
        assert sprite.box[3] - sprite.box[1] == pytest.approx(90, rel=0.1)


def test_picture_changes_where_ground_truth_says(sequence):
    images, gt = read_images(sequence).astype(int), read_gt(sequence)
    changed = np.abs(images - np.median(images, axis=0)).max(axis=-1) > 40
    nobody = np.ones(changed.shape, bool)
    for row in gt:
        left, top, width, height = np.rint(row[[LEFT, TOP, WIDTH, HEIGHT]]).astype(int)
        frame = int(row[FRAME]) - 1
        inside = slice(max(top, 0), top + height), slice(max(left, 0), left + width)
        if row[VISIBILITY] > 0.95 and row[CLASS] == 1:
            assert changed[frame][inside].mean() > 0.15
        # Some room for the shadow.
        nobody[
            frame,
            max(top - 2, 0) : top + height + 6,
            max(left - 10, 0) : max(left + width + 10, 0),
        ] = False
    assert changed[nobody].mean() < 0.01 < changed[~nobody].mean()


def test_farther_is_smaller(sequence):
    gt = read_gt(sequence)
    gt = gt[(gt[:, VISIBILITY] == 1) & (gt[:, CLASS] == 1)]
    below_horizon = gt[:, TOP] + gt[:, HEIGHT] - 0.3 * 144
    metres = Camera.elevation * gt[:, HEIGHT] / below_horizon
    assert np.ptp(below_horizon) > 15
    assert metres.min() > 1.4
    assert metres.max() < 2.2


def test_visibility_is_the_share_not_covered():
    _, sprite = next(draw_figures())
    free = np.ones((160, 200), np.float32)
    assert sprite.cover(free) == pytest.approx(1)
    assert sprite.cover(free) < 0.1  # a twin right behind
    left, top, right, bottom = np.rint(sprite.box).astype(int)
    free[:] = 1
    free[(top + bottom) // 2 :] = 0  # a wall up to the waist
    assert 0.4 < sprite.cover(free) < 0.8
    free[:] = 1
    free[:, :left] = free[:, right:] = 0  # posts on either side
    assert sprite.cover(free) == pytest.approx(1, abs=0.02)


def test_visibility_counts_what_leaves_the_image():
    person = Person.sample(np.random.default_rng(1), 0.3)
    for foot, low, high in (((0.0, 120), 0.2, 0.8), ((-200.0, 120), 0, 0)):
        sprite = draw_figure(person, foot, 90, 0.5, 1)
        assert low <= sprite.cover(np.ones((160, 200), np.float32)) <= high
        sprite.paste(np.zeros((160, 200, 3), np.float32))


def test_people_cover_each_other(tmp_path):
    make_sequence(tmp_path, "A", num_frames=20, num_people=20, size=(256, 144), seed=1)
    visibility = read_gt(tmp_path / "A")[:, VISIBILITY]
    assert visibility.min() < 0.5
    assert (visibility > 0.99).any()


def test_people_leave_and_others_enter(tmp_path):
    kwargs = dict(num_frames=150, num_people=6, size=(128, 72), frame_rate=5)
    make_sequence(tmp_path, "A", seed=2, **kwargs)
    gt = read_gt(tmp_path / "A")
    people = gt[gt[:, CLASS] == 1]
    assert len(np.unique(people[:, IDENTITY])) > 12
    assert 4 < len(people) / 150 <= 6
    for identity in np.unique(people[:, IDENTITY]):
        row = people[people[:, IDENTITY] == identity]
        assert np.abs(np.diff(row[:, FRAME])).max(initial=1) < 75


def test_no_person_in_two_sequences():
    scenes = [Scene((64, 64), 10, seed) for seed in range(3)]
    people = [walker.person for scene in scenes for walker in scene.crowd.walkers]
    assert len(set(people)) == 30


def test_mannequin_is_forgiven(tmp_path):
    held = []
    for seed in range(6):
        kwargs = dict(num_frames=1, num_people=4, size=(128, 72))
        make_sequence(tmp_path, f"{seed}", seed=seed, **kwargs)
        gt = read_gt(tmp_path / f"{seed}")
        static = gt[gt[:, CLASS] == synthetic.STATIC_PERSON]
        assert len(static) <= 1
        assert not static[:, MARK].any()
        held.append(len(static))
    assert 0 < sum(held) < 6


def test_dataset_names_and_independence(tmp_path):
    ticks = []
    folders = make_dataset(
        tmp_path / "two",
        **{**DATASET, "train_sequences": 2},
        progress=lambda: ticks.append(1),
    )
    names = [str(folder.relative_to(tmp_path / "two")) for folder in folders]
    assert names == ["train/SYN-01", "train/SYN-02", "test/SYN-11"]
    assert len(ticks) == 6
    make_dataset(tmp_path / "one", **DATASET)
    both = contents(tmp_path / "two")
    assert contents(tmp_path / "one").items() <= both.items()
    first = Path("img1/000001.jpg")
    assert len({both["train" / Path(f"SYN-0{i}") / first] for i in (1, 2)}) == 2


def test_test_sequences_follow_many_training_ones(tmp_path):
    kwargs = {**DATASET, "train_sequences": 11, "num_frames": 1, "num_people": 1}
    folders = make_dataset(tmp_path, **kwargs)
    assert folders[-1] == tmp_path / "test" / "SYN-12"


def test_overwrite(tmp_path):
    make_dataset(tmp_path, **{**DATASET, "train_sequences": 2})
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(FileExistsError, match=r"not empty.*overwrite"):
        make_dataset(tmp_path, **DATASET)
    make_dataset(tmp_path, **DATASET, overwrite=True)
    assert not (tmp_path / "train" / "SYN-02").exists()
    assert (tmp_path / "notes.txt").read_text() == "mine"


def test_sequence_is_not_mixed_with_a_former_one(sequence):
    with pytest.raises(FileExistsError, match="not empty"):
        make_sequence(sequence.parent, "A", **SEQUENCE)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("num_frames", 0),
        ("num_people", 0),
        ("size", (63, 144)),
        ("size", (256, 144, 3)),
        ("seed", -1),
        ("frame_rate", 0),
    ],
)
def test_sequence_arguments(tmp_path, name, value):
    with pytest.raises(ValueError, match=name):
        make_sequence(tmp_path, "A", **{**SEQUENCE, name: value})
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["train_sequences", "test_sequences", "num_frames"])
def test_dataset_arguments(tmp_path, name):
    with pytest.raises(ValueError, match=name):
        make_dataset(tmp_path, **{**DATASET, name: -1})


def test_dataset_must_hold_something(tmp_path):
    with pytest.raises(ValueError, match="both be 0"):
        make_dataset(tmp_path, **{**DATASET, "train_sequences": 0, "test_sequences": 0})


def test_command_line(tmp_path, capsys):
    main = runpy.run_path(str(TOOL))["main"]
    arguments = [str(tmp_path / "out"), "--train=1", "--test=1", "--frames=2"]
    arguments += ["--people=2", "--size=128x72"]
    main(arguments)
    out = capsys.readouterr().out.splitlines()
    assert out == [
        f"{tmp_path / 'out' / 'train'}: SYN-01, 2 frames each",
        f"{tmp_path / 'out' / 'test'}: SYN-11, 2 frames each",
    ]
    main([*arguments, "--overwrite"])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--frames=0"], "num_frames"),
        (["--train=0", "--test=0"], "both be 0"),
    ],
)
def test_command_line_errors(tmp_path, capsys, options, message):
    main = runpy.run_path(str(TOOL))["main"]
    assert main([str(tmp_path), *options]) == 2
    (error,) = capsys.readouterr().err.splitlines()
    assert error.startswith("error: ")
    assert message in error


def test_a_street_can_be_shared_and_people_are_not(tmp_path):
    folders = synthetic.make_dataset(
        tmp_path,
        train_sequences=1,
        test_sequences=1,
        num_frames=2,
        num_people=3,
        size=(192, 128),
        seed=0,
        street_seed=5,
    )
    images = [cv2.imread(str(f / "img1/000001.jpg")).astype(float) for f in folders]
    # The roofs and the sky are the same but for light and noise, the ground is not.
    top, bottom = (
        np.abs(np.subtract(*(i[part] for i in images)))
        for part in (slice(0, 40), slice(64, None))
    )
    assert np.corrcoef(*(image[:40].ravel() for image in images))[0, 1] > 0.9
    assert np.quantile(bottom, 0.99) > 2 * np.quantile(top, 0.99)


def test_training_and_test_sequences_of_one_number_differ(tmp_path):
    arguments = dict(num_frames=1, num_people=3, size=(192, 128), seed=0)
    counts = dict(train_sequences=11, test_sequences=0)
    trained = synthetic.make_dataset(tmp_path / "a", **counts, **arguments)[10]
    counts = dict(train_sequences=0, test_sequences=1)
    (tested,) = synthetic.make_dataset(tmp_path / "b", **counts, **arguments)
    assert trained.name == tested.name
    pictures = [(f / "img1/000001.jpg").read_bytes() for f in (trained, tested)]
    assert pictures[0] != pictures[1]


@pytest.mark.parametrize("seed", range(20))
def test_people_stand_in_the_view_of_every_drawn_camera(seed):
    camera = Camera.sample(512, 288, np.random.default_rng(seed))
    tallest = 1.75 * camera.scale(camera.near) / camera.height
    assert 0.35 <= tallest <= 0.9
    for depth in (camera.near, camera.far):
        row = camera.project(0, depth)[1]
        assert camera.horizon < row < 1.15 * camera.height
    assert camera.near + 1.8 < camera.far


def test_varied_sequences_differ_in_camera_people_and_sharpness(tmp_path):
    arguments = dict(num_frames=1, num_people=8, size=(256, 144))
    sizes, counts, noises = set(), [], []
    for seed in range(6):
        folder = make_sequence(tmp_path, str(seed), seed=seed, varied=True, **arguments)
        gt = read_gt(folder)
        sizes.add(round(gt[:, HEIGHT].max() / 144, 1))
        counts.append(len(gt))
        sky = read_images(folder)[0, :10].astype(float)
        noises.append(np.abs(np.diff(sky, axis=0)).mean())
    assert len(sizes) > 2
    assert max(counts) <= 17  # twice as many, and a mannequin
    assert max(counts) > 1.5 * min(counts)
    assert max(noises) > 1.5 * min(noises)


def test_backgrounds_are_real_places_without_their_people(tmp_path):
    place = make_sequence(tmp_path / "real", "PLACE", **SEQUENCE)
    background = cut_background(place, (128, 72), np.random.default_rng(0))
    assert background.shape == (72, 128, 3)
    # Nobody is left of the people, and the street is that of the sequence.
    images = read_images(place).astype(float)
    empty = np.median(images, axis=0)
    whole = cut_background(place, (256, 144), _Middle())
    strange = [(np.abs(x - empty).max(-1) > 40).mean() for x in (images[0], whole)]
    assert strange[0] > 0.04
    assert strange[1] < 0.004

    arguments = dict(num_frames=1, num_people=2, size=(256, 144), seed=1)
    folder = make_sequence(tmp_path, "A", backgrounds=[place], **arguments)
    painted = make_sequence(tmp_path, "B", **arguments)
    np.testing.assert_array_equal(read_gt(folder), read_gt(painted))
    a, b = (read_images(f)[0].astype(float) for f in (folder, painted))
    assert np.abs(a - b).mean() > 10


class _Middle:
    """Chooses the first frames and all of the image."""

    def choice(self, total, count, replace):
        return np.arange(count) * (total // count)

    def uniform(self, low, high):
        return high

    def random(self, count=None):
        return np.ones(count) if count else 1.0


def test_a_background_needs_ground_truth(tmp_path, capsys):
    main = runpy.run_path(str(TOOL))["main"]
    place = make_sequence(tmp_path, "PLACE", **{**SEQUENCE, "num_frames": 2})
    (place / "gt/gt.txt").unlink()
    arguments = [str(tmp_path / "out"), "--train=1", "--test=0", "--frames=1"]
    assert main([*arguments, "--backgrounds", str(place)]) == 2
    assert f"{place}/gt/gt.txt: no ground truth" in capsys.readouterr().err
